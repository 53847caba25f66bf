package runtime

import (
	"fmt"
	"hash/fnv"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/cgroup"
	"github.com/ocirt/ocirt/runtime/internal/criu"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/rootfs"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// What the container sees of the host's files is not saved, and when it is restored it
// comes from config.json alone. In the images stand keys of ours instead of paths: a key is
// made from a destination in config.json, never from a name in the container, because names
// in images have been used to get at other files of the host (CVE-2026-119101).

// A mount is a line of /proc/PID/mountinfo.
type mount struct {
	id       int
	dev      string // major:minor
	root     string // in the file system
	point    string // as the process sees it
	readOnly bool
	fstype   string
}

// mountsOf are the mounts of a process, in the order of the kernel.
func mountsOf(pid string) ([]mount, error) {
	data, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot read the mounts: %w", err)
	}
	var list []mount
	for line := range strings.Lines(string(data)) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		f := strings.Split(before, " ")
		if !ok || len(f) < 6 {
			return nil, fmt.Errorf("unexpected form of /proc/%s/mountinfo", pid)
		}
		m := mount{dev: f[2], root: unescape(f[3]), point: unescape(f[4]), readOnly: hasWord(f[5], "ro")}
		if m.id, err = strconv.Atoi(f[0]); err != nil {
			return nil, fmt.Errorf("unexpected form of /proc/%s/mountinfo", pid)
		}
		m.fstype, _, _ = strings.Cut(after, " ")
		list = append(list, m)
	}
	return list, nil
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// unescape reads the kernel's \040 for what would break its lines.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// A hostTree is something of the host's that the container sees.
type hostTree struct {
	key      string
	path     string // on the host
	point    string // where config.json wants it in the container
	readOnly bool
	dev      string // of its file system, and where in it: what a mount of it shows
	root     string
}

// hostTrees are all that config.json lets the container see of the host, with the root, and
// the folder of the notify socket.
func hostTrees(b *spec.Bundle, p *plan.Plan, notify string) ([]hostTree, error) {
	host, err := mountsOf("self")
	if err != nil {
		return nil, err
	}
	t := &trees{host: host, seen: map[string]int{}}
	t.add("root", b.RootPath(), "/", true, b.Spec.Root != nil && b.Spec.Root.Readonly, false)
	t.add("notify", notify, "/"+step.NotifyPlace, false, true, true)
	for _, e := range p.Sandbox {
		switch s := e.Step.(type) {
		case rootfs.AttachTree:
			if s.IDMap != nil {
				return nil, &step.Error{Step: s.String(), From: e.From, Where: "host", Err: fmt.Errorf("an id-mapped mount cannot be saved: CRIU would restore it without its mapping")}
			}
			readOnly := (s.Attr.Set|s.RecAttr.Set)&unix.MOUNT_ATTR_RDONLY != 0
			t.add("mount", s.Source, "/"+s.Place.UnsafePath, s.Recursive, readOnly, s.NoFollow)
		case rootfs.MountCgroup1:
			for _, c := range s.Hierarchies {
				t.add("cgroup", c.Path, "/"+path.Join(s.Place.UnsafePath, c.Name), false, s.Attr.Set&unix.MOUNT_ATTR_RDONLY != 0, true)
			}
		case rootfs.MakeDefaultDevices:
			for _, d := range s.Devices {
				t.add("device", "/"+d.UnsafePath, "/"+d.UnsafePath, false, false, true)
			}
		case rootfs.MakeDevice:
			t.add("device", "/"+s.UnsafePath, "/"+s.UnsafePath, false, false, true)
		}
	}
	return t.list, nil
}

// trees collects host trees.
type trees struct {
	host []mount
	list []hostTree
	seen map[string]int
}

// add adds a tree and, if it is recursive, what is mounted below it on the host. What is
// not there now is left out: it cannot be restored, and CRIU will say so.
func (t *trees) add(kind, at, point string, recursive, readOnly, noFollow bool) {
	flags := unix.O_PATH
	if noFollow {
		flags |= unix.O_NOFOLLOW
	}
	f, err := linux.OpenAt(nil, at, flags, 0)
	if err != nil {
		return
	}
	defer f.Close()
	real, err := os.Readlink(linux.ProcPath(f))
	id, _, idErr := linux.MountOf(f)
	if err != nil || idErr != nil {
		return
	}
	for _, m := range t.host {
		if uint64(m.id) == id {
			t.put(kind, point, hostTree{path: real, point: point, readOnly: readOnly, dev: m.dev, root: path.Join(m.root, below(real, m.point))})
		}
	}
	if !recursive {
		return
	}
	for _, m := range t.host {
		if rest := below(m.point, real); rest != "" && m.point != real {
			inside := path.Join(point, rest)
			t.put(kind, inside, hostTree{path: m.point, point: inside, readOnly: readOnly, dev: m.dev, root: m.root})
		}
	}
}

// below is what is left of a path below a folder, with its slash; empty if it is not below.
func below(file, dir string) string {
	if dir == "/" {
		return file
	}
	if rest, ok := strings.CutPrefix(file, dir); ok && strings.HasPrefix(rest, "/") {
		return rest
	}
	return ""
}

// put gives a tree its key: a number made from where config.json wants it, and how often
// that has occurred.
func (t *trees) put(kind, point string, h hostTree) {
	sum := fnv.New128a()
	sum.Write([]byte(kind + " " + point))
	h.key = fmt.Sprintf("ocirt-%s-%x", kind, sum.Sum(nil))
	t.seen[h.key]++
	if n := t.seen[h.key]; n > 1 {
		h.key += "-" + strconv.Itoa(n)
	}
	t.list = append(t.list, h)
}

// shows reports whether a mount shows this tree, exactly.
func (h *hostTree) shows(m *mount) bool { return h.dev == m.dev && h.root == m.root }

// holds reports whether what a mount shows is in this tree.
func (h *hostTree) holds(m *mount) bool {
	return h.dev == m.dev && (h.root == m.root || below(m.root, h.root) != "")
}

// externalMounts are the mounts of the container that CRIU must not save, with their keys.
func (c *Container) externalMounts(b *spec.Bundle) ([]criu.Pair, error) {
	in := &step.Input{ID: c.rec.ID, Bundle: b, Process: b.Spec.Process, Facts: probe()}
	hierarchies, err := cgroup.Hierarchies()
	if err != nil {
		return nil, err
	}
	in.Cgroups = listed(hierarchies, c.rec.Cgroup.Paths)
	p := &plan.Plan{}
	if err := plan.Sandbox(in, p); err != nil {
		return nil, err
	}
	list, err := hostTrees(b, p, filepath.Join(c.dir.Path(), notifyDirName))
	if err != nil {
		return nil, err
	}
	mounts, err := mountsOf(strconv.Itoa(c.rec.Pid))
	if err != nil {
		return nil, err
	}
	var pairs []criu.Pair
	for i := range mounts {
		m := &mounts[i]
		// The end of a key, for CRIU: the name of one mount could be taken for another's
		// name and key.
		if strings.Contains(m.point, "]:") {
			return nil, fmt.Errorf("cannot save the mount on %q: its name holds \"]:\"", m.point)
		}
		if m.point == "/" {
			continue
		}
		if h := choose(list, m); h != nil {
			pairs = append(pairs, criu.Pair{Key: m.point, Value: h.key})
		}
	}
	sort.Slice(pairs, func(i, j int) bool { return pairs[i].Key < pairs[j].Key })
	return pairs, nil
}

// choose finds the tree that a mount shows: of several the one whose place this is.
func choose(list []hostTree, m *mount) (found *hostTree) {
	for i := range list {
		h := &list[i]
		if h.point == "/" || !h.shows(m) {
			continue
		}
		if found == nil || h.point == m.point && found.point != m.point || h.point == m.point && h.readOnly == m.readOnly {
			found = h
		}
	}
	return found
}
