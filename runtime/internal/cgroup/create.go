package cgroup

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Group is a container's group in every hierarchy. The zero Group is in none; all its
// methods then do nothing. Its fields are all that has to be stored.
type Group struct {
	Paths map[string]string // absolute directory by name of hierarchy ("" is v2)
	Made  []string          // the directories that were made for it, outermost first
	Unit  *Unit             // nil if systemd has nothing to do with it
}

// A creation is a Group being made.
type creation struct {
	Group
	pureV2 bool // there is no v1 hierarchy, so the controllers are here
}

// Options are what [Create] has to know beside the paths.
type Options struct {
	// Rootless: the user may not be allowed to make groups, and that is no error unless
	// Asked. Hierarchies that cannot be written to are then left out.
	Rootless bool
	// Asked: the configuration has a cgroupsPath or limits, so there must be a group.
	Asked bool
}

// ErrFrozen is why a group that is frozen is refused: a process that joined it would
// stop before it could be a container.
var ErrFrozen = errors.New("container's cgroup unexpectedly frozen")

// A NotEmptyError is why a group that holds processes is refused.
type NotEmptyError struct {
	Dir  string
	Pids []int
}

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("container's cgroup is not empty: %d process(es) found", len(e.Pids))
}

// Create makes a container's group in every hierarchy of paths, with the groups above it
// that do not exist, and gives v1 cpuset groups the processors and memory nodes of the
// group above, without which nothing can join them. On v2 it enables the controllers that
// the groups above offer, as far as they let it; that one misses is an error only for the
// limit that needs it.
//
// A group that already exists is used if it is empty and not frozen, see [NotEmptyError]
// and [ErrFrozen]. If anything fails, what was made is removed again.
func Create(paths map[string]string, o Options) (*Group, error) {
	_, v2 := paths[""]
	g := &creation{Group{Paths: make(map[string]string, len(paths))}, v2 && len(paths) == 1}
	for _, name := range names(paths) {
		err := g.create(name, paths[name])
		if err != nil && o.Rootless && denied(cause(err)) {
			if !o.Asked {
				continue
			}
			err = fmt.Errorf("rootless needs no limits + no cgrouppath when no permission is granted for cgroups: %w", err)
		}
		if err != nil {
			g.unmake()
			return nil, fmt.Errorf("unable to apply cgroup configuration: %w", err)
		}
		g.Paths[name] = paths[name]
	}
	return &g.Group, nil
}

// cause returns the system call's error in err.
func cause(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// create makes the group in one hierarchy, or checks the one that is there.
func (c *creation) create(name, dir string) error {
	from := len(c.Made)
	if err := c.makeDir(dir, name); err != nil {
		return err
	}
	if len(c.Made) == from {
		if err := checkEmpty(dir); err != nil {
			return err
		}
		if hasController(name, "cpuset") {
			if err := fillCpuset(dir, false); err != nil {
				return err
			}
		}
		return checkThawed(name, dir)
	}
	// A new group is frozen if one above it is.
	return checkThawed(name, path.Dir(dir))
}

func isTop(dir string) bool {
	var st unix.Stat_t
	return unix.Stat(dir, &st) == nil && st.Ino == rootInode
}

// makeDir makes dir and what is missing above it. Somebody else may be removing or making
// the groups above at the same time, so it starts anew when one vanishes under it.
func (c *creation) makeDir(dir, name string) error {
	for try := 0; ; try++ {
		err := again(func() error { return unix.Mkdir(dir, 0o755) })
		switch {
		case errors.Is(err, unix.EEXIST):
			return nil
		case errors.Is(err, unix.ENOENT) && try < 50 && path.Dir(dir) != "/":
			if err := c.makeDir(path.Dir(dir), name); err != nil {
				return err
			}
			continue
		case err != nil:
			return pathError("make cgroup", dir, err)
		}
		if !slices.Contains(c.Made, dir) {
			c.Made = append(c.Made, dir)
		}
		return c.prepare(dir, name)
	}
}

// prepare makes a new group usable.
func (c *creation) prepare(dir, name string) error {
	switch {
	case c.pureV2:
		enableControllers(path.Dir(dir))
	case hasController(name, "cpuset"):
		return fillCpuset(dir, true)
	}
	return nil
}

// fillCpuset gives a v1 cpuset group that has no processors or memory nodes those of the
// group above. A new one has none. If the group above has none either, because whoever
// made it did not care, it is helped first.
func fillCpuset(dir string, isNew bool) error {
	for _, file := range [...]string{"cpuset.cpus", "cpuset.mems"} {
		if _, err := inherit(dir, file, isNew); err != nil {
			return fmt.Errorf("cannot initialise %s of cgroup %s: %w", file, dir, err)
		}
	}
	return nil
}

// inherit returns what dir has in file in the end.
func inherit(dir, file string, empty bool) (string, error) {
	if !empty {
		value, err := readIn(dir, file)
		if err != nil || strings.TrimSpace(value) != "" {
			return value, err
		}
	}
	if dir == "/" {
		return "", unix.ENOSPC
	}
	value, err := inherit(path.Dir(dir), file, false)
	if err != nil {
		return "", err
	}
	return value, writeIn(dir, file, value)
}

// checkEmpty refuses a group that holds processes, in itself or in groups below it.
func checkEmpty(dir string) error {
	pids, err := pidsBelow(dir)
	if err != nil {
		return pathError("use cgroup", dir, err)
	}
	if len(pids) > 0 {
		return &NotEmptyError{dir, pids}
	}
	return nil
}

// checkThawed refuses a group that is frozen, by itself or by one above it.
func checkThawed(name, dir string) error {
	if name != "" && !hasController(name, "freezer") || isTop(dir) {
		return nil // the top of a hierarchy cannot be frozen
	}
	frozen, err := isFrozen(name, dir)
	if err != nil && !gone(err) {
		return pathError("read the freezer state of", dir, err)
	}
	if frozen {
		return fmt.Errorf("%w: %s", ErrFrozen, dir)
	}
	return nil
}

// hasController tells whether the v1 hierarchy called name carries a controller.
func hasController(name, controller string) bool {
	if name == controller {
		return true
	}
	return strings.Contains(name, ",") && slices.Contains(strings.Split(name, ","), controller)
}

// enableControllers passes on what the v2 groups from the top down to dir are offered.
// Most often nothing is missing, and then nothing is written: a write takes the lock that
// joining avoids. A group that refuses, because it holds processes or is not ours, is
// left as it is.
func enableControllers(dir string) {
	if !isTop(dir) && path.Dir(dir) != "/" {
		enableControllers(path.Dir(dir))
	}
	offered, err := readIn(dir, "cgroup.controllers")
	if err != nil {
		return
	}
	enabled, err := readIn(dir, "cgroup.subtree_control")
	if err != nil {
		return
	}
	have := strings.Fields(enabled)
	var missing []string
	for _, c := range strings.Fields(offered) {
		if !slices.Contains(have, c) {
			missing = append(missing, "+"+c)
		}
	}
	if len(missing) == 0 || holdsProcesses(dir) || writeIn(dir, "cgroup.subtree_control", strings.Join(missing, " ")) == nil {
		return
	}
	// One controller may spoil it for all, such as cpu with realtime processes around.
	for _, c := range missing {
		_ = writeIn(dir, "cgroup.subtree_control", c)
	}
}

// holdsProcesses reports whether a v2 group other than the top has processes itself. To pass
// a controller on, it would have to become the root of a threaded tree: the kernel does that
// for cpu, cpuset and pids without being asked, and then lets no process into any group below.
func holdsProcesses(dir string) bool {
	if isTop(dir) {
		return false
	}
	procs, err := readIn(dir, "cgroup.procs")
	return err == nil && procs != ""
}

// unmake removes what Create made, innermost first. Nothing has joined it.
func (c *creation) unmake() {
	for _, dir := range slices.Backward(c.Made) {
		_ = again(func() error { return unix.Rmdir(dir) })
	}
}

// Load returns the group that a record describes. What no longer exists counts as removed.
func Load(paths map[string]string, made []string) *Group {
	return &Group{Paths: paths, Made: made}
}

// Dir returns the group's directory where a controller's files are: its v1 hierarchy, or
// else the v2 group.
func (g *Group) Dir(controller string) (dir string, v2, ok bool) {
	for name, dir := range g.Paths {
		if name != "" && hasController(name, controller) {
			return dir, false, true
		}
	}
	dir, ok = g.Paths[""]
	return dir, ok, ok
}
