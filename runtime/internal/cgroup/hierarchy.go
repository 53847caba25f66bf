package cgroup

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Hierarchy is one mounted cgroup tree.
type Hierarchy struct {
	Name  string // "memory", "cpu,cpuacct", "name=systemd", or "" for v2
	Mount string // where it is mounted: "/sys/fs/cgroup/memory"
	Own   string // the calling process's group below Mount, "/" for the top
}

// Hierarchies returns the trees a container's groups are made in, in the kernel's order:
// all of v1, the named ones too, and v2. A hierarchy that is not mounted is left out.
//
// On a hybrid host the v2 tree has no controllers that matter; it is there for systemd to
// keep track of services. It is left out if this process may not write to it, and if
// nobody keeps track of this process with it (it is at the top): it would cost each
// container three calls and, on an idle machine, the start of a process in it up to a
// millisecond. Otherwise a container must not stay in the group of whoever started it,
// which dies as a whole when that service is restarted.
//
// Source: /proc/self/cgroup (cgroups(7)). /proc/self/mountinfo is read only if a
// hierarchy is not found whole at its usual place: it has a line for every mount of the
// host, and each of a thousand containers brings dozens.
func Hierarchies() ([]Hierarchy, error) {
	text, err := readAt(unix.AT_FDCWD, "/proc/self/cgroup")
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil, nil // a kernel without cgroups
		}
		return nil, pathError("read", "/proc/self/cgroup", err)
	}
	hs := parseOwn(text)
	if !findUsual(hs) {
		mounts, err := readAt(unix.AT_FDCWD, "/proc/self/mountinfo")
		if err != nil {
			return nil, pathError("read", "/proc/self/mountinfo", err)
		}
		findMounted(hs, mounts)
	}
	hs = slices.DeleteFunc(hs, func(h Hierarchy) bool { return h.Mount == "" })
	if len(hs) == 1 {
		return hs, nil
	}
	return slices.DeleteFunc(hs, func(h Hierarchy) bool {
		return h.Name == "" && (h.Own == "/" || !writable(h.Mount+h.Own))
	}), nil
}

func writable(path string) bool {
	return unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS) == nil
}

// parseOwn reads lines such as "4:memory:/user.slice" and "0::/user.slice".
func parseOwn(text string) []Hierarchy {
	hs := make([]Hierarchy, 0, 16)
	for line := range strings.Lines(text) {
		_, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !ok {
			continue
		}
		name, own, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		if strings.HasSuffix(own, " (deleted)") {
			own = "/" // our own group was removed under us: nothing can be made below it
		}
		hs = append(hs, Hierarchy{Name: name, Own: own})
	}
	return hs
}

// findUsual looks for the hierarchies where every distribution mounts them, and tells
// whether that settles it: each was found, and from its root, so that Own is below it.
func findUsual(hs []Hierarchy) bool {
	all := true
	for i := range hs {
		h := &hs[i]
		switch {
		case h.Name != "":
			all = h.isAt(root+"/"+strings.TrimPrefix(h.Name, "name="), unix.CGROUP_SUPER_MAGIC) && all
		case len(hs) > 1 && h.isAt(unified, unix.CGROUP2_SUPER_MAGIC):
		default:
			// Beside v1, a v2 tree at an unusual place is not worth searching for.
			all = (h.isAt(root, unix.CGROUP2_SUPER_MAGIC) || len(hs) > 1) && all
		}
	}
	return all
}

// isAt tells whether h is mounted at path, so that our own group is below it, and if so
// notes it.
func (h *Hierarchy) isAt(path string, magic int64) bool {
	kind, err := fsType(path)
	if err != nil || kind != magic {
		return false
	}
	// Inside a container without a cgroup namespace the top of the mount can be some group
	// of the host's, which our own path then starts with. It needs no look at our own being
	// the top.
	if h.Own != "/" && !isTop(path) {
		return false
	}
	h.Mount = path
	return true
}

// findMounted fills in what findUsual could not from the text of mountinfo. Where a
// hierarchy is mounted several times, the mount whose top is nearest to its root wins.
func findMounted(hs []Hierarchy, text string) {
	for i := range hs {
		h := &hs[i]
		if h.Mount != "" {
			continue
		}
		best := ""
		own := h.Own
		for line := range strings.Lines(text) {
			top, mount, ok := matchMount(strings.TrimSuffix(line, "\n"), h.Name)
			if !ok {
				continue
			}
			below, ok := cutTop(own, top)
			if !ok || best != "" && len(top) >= len(best) {
				continue
			}
			best, h.Mount, h.Own = top, mount, below
		}
	}
}

// matchMount returns root and mount point of a mountinfo line (proc_pid_mountinfo(5)) if
// it is a mount of the hierarchy called name.
func matchMount(line, name string) (top, mount string, ok bool) {
	left, right, ok := strings.Cut(line, " - ")
	if !ok {
		return "", "", false
	}
	kind, super, _ := strings.Cut(right, " ")
	if name == "" {
		ok = kind == "cgroup2"
	} else {
		options := strings.Split(super[strings.LastIndexByte(super, ' ')+1:], ",")
		ok = kind == "cgroup" && containsAll(options, strings.Split(name, ","))
	}
	fields := strings.Split(left, " ")
	if !ok || len(fields) < 5 {
		return "", "", false
	}
	return unescape(fields[3]), unescape(fields[4]), true
}

func containsAll(have, want []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}

// cutTop returns path as seen from a mount whose root is top. In a cgroup namespace a
// group outside of it appears as "/..": how it lies to the mount cannot be known then, and
// the top of the mount is the only place there is.
func cutTop(path, top string) (string, bool) {
	if strings.HasPrefix(top, "/..") || strings.HasPrefix(path, "/..") {
		return "/", true
	}
	if top == "/" {
		return path, true
	}
	rest, ok := strings.CutPrefix(path, top)
	if rest == "" {
		rest = "/"
	}
	return rest, ok && rest[0] == '/'
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) {
			out = append(out, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
