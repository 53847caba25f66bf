package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A LimitError says which limit cannot be had, and why. Err is, or wraps, the error of the
// kernel if there is one.
type LimitError struct {
	Property string // below linux.resources: "memory.limit", "blockIO.weightDevice[0].weight"
	Err      error
}

func (e *LimitError) Error() string { return "linux.resources." + e.Property + ": " + e.Err.Error() }

func (e *LimitError) Unwrap() error { return e.Err }

// Pointer returns the place in config.json as a JSON pointer: "/linux/resources/memory/limit".
func (e *LimitError) Pointer() string {
	var b strings.Builder
	b.WriteString("/linux/resources")
	for rest := e.Property; rest != ""; {
		end := strings.IndexAny(rest, ".[")
		if rest[0] == '[' {
			end = strings.Index(rest, "]") + 1
		}
		if end <= 0 {
			end = len(rest)
		}
		part := rest[:end]
		rest = strings.TrimPrefix(rest[end:], ".")
		part = strings.Trim(strings.TrimSuffix(strings.TrimPrefix(part, "["), "]"), `"`)
		b.WriteString("/" + strings.ReplaceAll(strings.ReplaceAll(part, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// missing explains that there is no file for a setting.
func (g *Group) missing(p place) error {
	at := func(err error) error { return &LimitError{p.from, err} }
	if p.dir == "" {
		return at(fmt.Errorf("controller %q is not available: %w", p.controller, noHierarchy(g, p.controller)))
	}
	if g.hasFilesOf(p.dir, p.controller) {
		if p.controller == "hugetlb" && strings.HasPrefix(p.from, "hugepageLimits") {
			return &LimitError{p.from + ".pageSize", errors.New(unsupportedPageSize(pageSizeOf(p.file)))}
		}
		return at(fmt.Errorf("cannot be set: the kernel has no %s: %w", p.file, unix.ENOENT))
	}
	return at(fmt.Errorf("controller %q is not available in cgroup %s: %w", p.controller, p.dir, whereItStops(p.dir, p.controller)))
}

// An absence says why a controller is not available.
type absence struct{ controller, text string }

func (a absence) Error() string { return a.text }

// Unwrap: what is not there is a file.
func (a absence) Unwrap() error { return unix.ENOENT }

// withOthers adds to the error of a controller that is missing which others are missing too,
// so that they need not be found out one by one.
func (g *Group) withOthers(settings []setting, err error) error {
	var limit *LimitError
	var none absence
	if !errors.As(err, &limit) || !errors.As(err, &none) {
		return err
	}
	seen := []string{none.controller}
	var others []string
	for _, s := range settings {
		if s.controller == "" {
			s.controller, _, _ = strings.Cut(s.file, ".")
		}
		if s.may || slices.Contains(seen, s.controller) {
			continue
		}
		if dir, _, ok := g.Dir(s.controller); ok && g.hasFilesOf(dir, s.controller) {
			continue
		}
		seen = append(seen, s.controller)
		others = append(others, fmt.Sprintf("%q (linux.resources.%s)", s.controller, s.from))
	}
	if len(others) == 0 {
		return err
	}
	return &LimitError{limit.Property, fmt.Errorf("%w; missing as well: %s", limit.Err, strings.Join(others, ", "))}
}

func noHierarchy(g *Group, controller string) error {
	if len(g.Paths) == 0 {
		return absence{controller, "the container has no cgroup of its own"}
	}
	return absence{controller, fmt.Sprintf("no cgroup v1 hierarchy with %s is mounted, or it is not ours to use", controller)}
}

// hasFilesOf tells whether a controller is at work in a group at all: any hierarchy of v1
// is, a v2 group says so.
func (g *Group) hasFilesOf(dir, controller string) bool {
	return !g.pureV2() || hasWord(dir, "cgroup.controllers", controller)
}

// hasWord tells whether a file of a group lists a controller.
func hasWord(dir, file, controller string) bool {
	text, err := readIn(dir, file)
	return err == nil && slices.Contains(strings.Fields(text), controller)
}

// whereItStops walks down to the group at dir and says which group is the first that does
// not pass a controller on, and what would help.
func whereItStops(dir, controller string) error {
	var chain []string // outermost first
	for d := dir; d != "/"; d = path.Dir(d) {
		if !exists(d + "/cgroup.controllers") {
			break
		}
		chain = append(chain, d)
		if isTop(d) {
			break
		}
	}
	slices.Reverse(chain)
	if len(chain) == 0 {
		return absence{controller, "it is not a v2 cgroup, or it is gone"}
	}
	if top := chain[0]; !hasWord(top, "cgroup.controllers", controller) {
		return absence{controller, fmt.Sprintf("%s does not have it: the kernel was built or booted without it, or a cgroup v1 hierarchy uses it", top)}
	}
	for _, d := range chain[:len(chain)-1] {
		if hasWord(d, "cgroup.subtree_control", controller) {
			continue
		}
		return absence{controller, fmt.Sprintf("%s has it and does not pass it on; %s", d, howToPass(d, controller))}
	}
	return absence{controller, "it was passed on only now"}
}

// howToPass says what makes the group at dir pass a controller on.
func howToPass(dir, controller string) string {
	unit := ""
	for part := range strings.SplitSeq(dir, "/") {
		if strings.HasSuffix(part, ".service") || strings.HasSuffix(part, ".scope") {
			unit = part
		} else if strings.HasSuffix(part, ".slice") && unit == "" && strings.HasPrefix(part, "user-") {
			unit = "user@" + strings.TrimSuffix(strings.TrimPrefix(part, "user-"), ".slice") + ".service"
		}
	}
	help := fmt.Sprintf("to enable it: echo +%s >%s/cgroup.subtree_control", controller, dir)
	if unit != "" {
		help += fmt.Sprintf(", or with systemd Delegate=%s in unit %s", controller, unit)
	}
	if procs, err := readIn(dir, "cgroup.procs"); err == nil && procs != "" && !isTop(dir) {
		help += " (a group that holds processes cannot: move them to a group below it first)"
	}
	return help
}

// refused explains that the kernel did not take a value.
func (g *Group) refused(p place, err error) error {
	var errno unix.Errno
	errors.As(err, &errno)
	at := func(format string, args ...any) error {
		return &LimitError{p.from, fmt.Errorf(format, args...)}
	}
	switch {
	case errno == unix.EBUSY && p.file == "memory.limit_in_bytes":
		now, text := usage(p.dir)
		return at("unable to set memory limit to %s (%s): below current use %s: %w", p.value, text, now, err)
	case errno == unix.ENODEV && (p.controller == "blkio" || p.controller == "io") && p.key != "":
		return at("no such device %s, or it is a partition, in %q for %s: %w", p.key, p.value, p.file, err)
	case errno == unix.ENODEV && p.controller == "net_prio":
		return at("no such network interface %q: %w", p.key, err)
	case errno == unix.ENODEV && p.controller == "rdma":
		return at("no such RDMA device %q: %w", p.key, err)
	}
	if why := g.why(p, errno); why != "" {
		return at("%s: cannot write %q to %s of cgroup %s: %w", why, p.value, p.file, p.dir, err)
	}
	return at("cannot write %q to %s of cgroup %s: %w", p.value, p.file, p.dir, err)
}

// why says in words what the kernel has against a value, or nothing.
func (g *Group) why(p place, errno unix.Errno) string {
	switch {
	case denied(errno):
		if p.controller == "cpuset" {
			return whyCpuset(p, errno)
		}
		if os.Geteuid() != 0 {
			return "the cgroup is not ours to change (not delegated)"
		}
	case p.controller == "cpuset":
		return whyCpuset(p, errno)
	case errno != unix.EINVAL:
	case p.file == "memory.limit_in_bytes":
		if sum, err := readNumber(p.dir, "memory.memsw.limit_in_bytes"); err == nil {
			return fmt.Sprintf("larger than the limit of memory and swap together, %d", sum)
		}
	case p.file == "memory.memsw.limit_in_bytes":
		if limit, err := readNumber(p.dir, "memory.limit_in_bytes"); err == nil {
			return fmt.Sprintf("smaller than the limit of memory, %d", limit)
		}
	case p.file == "cpu.cfs_quota_us", p.file == "cpu.cfs_period_us":
		return "a cgroup above has less, or one below has more, or the burst is larger"
	case strings.HasSuffix(p.from, "cpu.burst"):
		return "larger than the quota"
	case strings.HasPrefix(p.file, "cpu.rt_"):
		return "the cgroups above leave no such realtime share"
	}
	return ""
}

// usage tells what stands against a smaller limit (v1 refuses one; v2 kills instead).
func usage(dir string) (now, text string) {
	now, err := readIn(dir, "memory.usage_in_bytes")
	peak, err2 := readIn(dir, "memory.max_usage_in_bytes")
	if errors.Join(err, err2) != nil {
		return "", "usage unknown"
	}
	now, peak = strings.TrimSpace(now), strings.TrimSpace(peak)
	return now, "current usage: " + now + ", peak usage: " + peak
}

// whyCpuset compares a list with what the host and the group above have.
func whyCpuset(p place, errno unix.Errno) string {
	thing := "CPU"
	if strings.HasSuffix(p.file, "mems") {
		thing = "node"
	}
	top := p.dir
	for !isTop(top) && exists(path.Dir(top)+"/cgroup.procs") {
		top = path.Dir(top) // inside of a container the top is a group, too
	}
	have := firstOf(top, p.file, p.file+".effective", "cpuset.effective_"+strings.TrimPrefix(p.file, "cpuset."))
	if have != "" && !inList(p.value, have) {
		return fmt.Sprintf("no such %s: the host has %s", thing, have)
	}
	above := firstOf(path.Dir(p.dir), p.file)
	switch {
	case errno == unix.EBUSY:
		return "a cgroup below it uses what it would lose"
	case above != "" && !inList(p.value, above):
		return fmt.Sprintf("the cgroup above, %s, has only %s", path.Dir(p.dir), above)
	}
	return ""
}

// firstOf returns the content of the first of some files that is there and not empty.
func firstOf(dir string, files ...string) string {
	for _, f := range files {
		if text, err := readIn(dir, f); err == nil && strings.TrimSpace(text) != "" {
			return strings.TrimSpace(text)
		}
	}
	return ""
}
