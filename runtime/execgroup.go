package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/cgroup"
	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/linux"
)

// openGroups opens the groups that the process joins: the container's own, or those below
// them that the caller has asked for.
func (x *execution) openGroups() error {
	paths := maps.Clone(x.c.joinable().Paths)
	below, err := subGroups(paths, x.options.Cgroups)
	if err != nil {
		return err
	}
	x.below = below[""]
	for _, name := range slices.Sorted(maps.Keys(below)) {
		group, err := openBelow(paths[name], below[name])
		if err != nil {
			return err
		}
		delete(paths, name)
		if name == "" {
			x.request.CgroupFD = group
			continue
		}
		tasks, err := linux.OpenAt(group, "tasks", unix.O_WRONLY, 0)
		group.Close()
		if err != nil {
			return noGroup(below[name], err)
		}
		x.request.Tasks = append(x.request.Tasks, tasks)
	}
	rest := cgroup.Load(paths, nil)
	tasks, err := rest.JoinFiles()
	x.request.Tasks = append(x.request.Tasks, tasks...)
	if err == nil && x.request.CgroupFD == nil {
		x.request.CgroupFD, err = rest.CgroupFD()
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("the container's cgroup is gone: %w", err)
	}
	return err
}

// subGroups reads the arguments of --cgroup: for each hierarchy in which the process is to
// be in a group below the container's, its path.
func subGroups(paths map[string]string, args []string) (map[string]string, error) {
	below := map[string]string{}
	for _, arg := range args {
		controllers, dir, has := strings.Cut(arg, ":")
		if !has {
			if len(args) > 1 {
				return nil, fmt.Errorf("invalid --cgroup argument: %s (missing <controller>: prefix)", arg)
			}
			for name := range paths {
				below[name] = arg
			}
			return below, nil
		}
		if strings.Contains(dir, ":") {
			return nil, fmt.Errorf("invalid --cgroup argument: %s", arg)
		}
		for controller := range strings.SplitSeq(controllers, ",") {
			if controller == "" {
				return nil, fmt.Errorf("invalid --cgroup argument: %s (empty <controller> prefix)", arg)
			}
			name, ok := hierarchyOf(paths, controller)
			if !ok {
				return nil, fmt.Errorf("--cgroup: unknown controller %s", controller)
			}
			if other, twice := below[name]; twice && (other != dir || slices.Contains(strings.Split(controllers, ","), name)) {
				return nil, fmt.Errorf("invalid --cgroup argument(s): controller %s specified multiple times", controller)
			}
			below[name] = dir
		}
	}
	return below, nil
}

// hierarchyOf is the version 1 hierarchy with this controller, or of this name.
func hierarchyOf(paths map[string]string, controller string) (string, bool) {
	for name := range paths {
		if name == "name="+controller || slices.Contains(strings.Split(name, ","), controller) && name != "" {
			return name, true
		}
	}
	return "", false
}

// openBelow opens a group at or below another, whatever the path says (runc's test was one
// of names, and let "../ID-other" pass).
func openBelow(dir, below string) (*os.File, error) {
	base, err := linux.OpenAt(nil, dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, noGroup(below, err)
	}
	defer base.Close()
	const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
	name := strings.TrimLeft(below, "/")
	if name == "" {
		name = "."
	}
	group, err := linux.OpenAt2(base, name, unix.O_RDONLY|unix.O_DIRECTORY, 0, resolve)
	if errors.Is(err, unix.EXDEV) {
		return nil, fmt.Errorf("bad sub cgroup path: --cgroup: %q leaves the container's cgroup", below)
	}
	if err != nil {
		return nil, noGroup(below, err)
	}
	return group, nil
}

// noGroup has the words that callers of runc know.
func noGroup(below string, err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("cannot join cgroup %q: adding pid of the new process to it: %w", below, err)
}

// groupOfInit opens the version 2 group that init is in, which lies below the container's.
func (c *Container) groupOfInit() (*os.File, error) {
	below, err := c.belowGroup()
	if err != nil {
		return nil, err
	}
	return openBelow(c.rec.Cgroup.Paths[""], below)
}

// belowGroup is the path from the container's version 2 group to the one that init is in.
func (c *Container) belowGroup() (string, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(c.rec.Pid) + "/cgroup")
	if err != nil {
		return "", fmt.Errorf("cannot find init's cgroup: %w", err)
	}
	ours := c.rec.Cgroup.Paths[""]
	for line := range bytes.Lines(data) {
		its, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "0::")
		if !ok {
			continue
		}
		// What we know is a path from the root of the host, what init says one from the
		// root of the hierarchy: the longest end of ours that its begins with is common.
		for at := path.Clean(its); at != "/"; at = path.Dir(at) {
			if strings.HasSuffix(ours, at) {
				return strings.TrimPrefix(its, at), nil
			}
		}
	}
	return "", errors.New("cannot find init's cgroup: it is not below the container's")
}

// joinGroup starts a process that joins the container's groups, of version 2 the one below.
// If this user may not move a process from where it is, as out of a login session, systemd
// does it, which may ask the system's systemd in turn.
func (c *Container) joinGroup(ctx context.Context, r launch.JoinRequest, below string) (*launch.Joined, error) {
	j, err := launch.Join(ctx, r)
	if op, errno := failedCall(err); op != launch.JoinCgroup || errno != unix.EACCES || r.CgroupFD == nil || c.rec.Cgroup.Unit == "" {
		return j, err
	}
	group := c.joinable()
	r.CgroupFD = nil
	r.Place = func(pid int) error {
		err := group.Attach(pid, below)
		if err == nil || below != "" {
			return err
		}
		if sub, findErr := c.belowGroup(); findErr == nil && sub != "" {
			return group.Attach(pid, sub)
		}
		return err
	}
	return launch.Join(ctx, r)
}
