package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/cgroup"
	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/process"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// join opens init, and finds out what a process that joins it must know.
func (c *Container) join(in *step.Input) (*step.Join, *os.File, error) {
	fd, err := c.process().Open()
	if err != nil {
		return nil, nil, err
	}
	init := os.NewFile(uintptr(fd), "init")
	j := &step.Join{Pid: c.rec.Pid}
	if in.UserNS() {
		if j.UIDs, err = idMap(c.rec.Pid, "uid_map"); err == nil {
			j.GIDs, err = idMap(c.rec.Pid, "gid_map")
		}
	}
	if err != nil {
		init.Close()
		return nil, nil, err
	}
	return j, init, nil
}

// idMap reads a map of a process's user namespace, as this process sees it
// (user_namespaces(7)).
func idMap(pid int, name string) ([]specs.LinuxIDMapping, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the id map of init: %w", err)
	}
	var maps []specs.LinuxIDMapping
	for line := range bytes.Lines(data) {
		var m specs.LinuxIDMapping
		fields := bytes.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("cannot read the id map of init: %q", line)
		}
		for i, to := range []*uint32{&m.ContainerID, &m.HostID, &m.Size} {
			n, err := strconv.ParseUint(string(fields[i]), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("cannot read the id map of init: %w", err)
			}
			*to = uint32(n)
		}
		maps = append(maps, m)
	}
	return maps, nil
}

// joinRoot opens the root that a joining process will have: the topmost one of init's mount
// namespace, wherever init itself has gone with chroot(2); without such a namespace, the
// root file system on the host.
func (c *Container) joinRoot(in *step.Input) (*os.File, error) {
	path := in.Bundle.RootPath()
	inside := in.Namespace(specs.MountNamespace) != nil
	if inside {
		path = "/proc/" + strconv.Itoa(c.rec.Pid) + "/root"
	}
	root, err := openDirectory(unix.AT_FDCWD, path)
	if err != nil || !inside {
		return root, err
	}
	return topOf(root)
}

// openDirectory opens a directory of the container, which messages call "/".
func openDirectory(dir int, path string) (*os.File, error) {
	fd, err := unix.Openat(dir, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the container's root: %w", err)
	}
	return os.NewFile(uintptr(fd), "/"), nil
}

// maxDepth is how deep below the top of its namespace init's root may lie.
const maxDepth = 1024

// topOf goes up from a directory to where it goes no further, and closes it. What is mounted
// over the top is crossed to.
func topOf(dir *os.File) (*os.File, error) {
	for range maxDepth {
		up, err := openDirectory(int(dir.Fd()), "..")
		if err != nil {
			dir.Close()
			return nil, err
		}
		same, err := samePlace(dir, up)
		dir.Close()
		if err != nil {
			up.Close()
			return nil, err
		}
		if same {
			return up, nil
		}
		dir = up
	}
	dir.Close()
	return nil, fmt.Errorf("cannot open the container's root: init's is %d directories deep", maxDepth)
}

// samePlace reports whether two handles are of one directory on one mount.
func samePlace(a, b *os.File) (bool, error) {
	sa, err := linux.Stat(a)
	if err != nil {
		return false, err
	}
	sb, err := linux.Stat(b)
	if err != nil || sa.Dev != sb.Dev || sa.Ino != sb.Ino {
		return false, err
	}
	ma, _, err := linux.MountOf(a)
	if err != nil {
		return false, err
	}
	mb, _, err := linux.MountOf(b)
	return ma == mb, err
}

// join starts the process. A version 2 group that passes controllers on cannot hold
// processes; then the one that init is in can.
func (x *execution) join(ctx context.Context) (*launch.Joined, error) {
	j, err := x.c.joinGroup(ctx, x.request, x.below)
	if op, errno := failedCall(err); op != launch.JoinCgroup || errno != unix.EBUSY || x.request.CgroupFD == nil || len(x.options.Cgroups) > 0 {
		return j, err
	}
	group, findErr := x.c.groupOfInit()
	if findErr != nil {
		return nil, errors.Join(err, findErr)
	}
	x.request.CgroupFD.Close()
	x.request.CgroupFD = group
	return launch.Join(ctx, x.request)
}

// failedCall is the label and errno of the call of a joining process that failed.
func failedCall(err error) (label string, errno unix.Errno) {
	var f *Fault
	if errors.As(err, &f) {
		return f.Op, f.Errno
	}
	return "", 0
}

// explain puts an error of an execution into the words that callers know.
func (x *execution) explain(err error) error {
	var not *launch.NotExecuted
	if errors.As(err, &not) {
		if why := execDenied(x.input, not.Errno); why != "" {
			return fmt.Errorf("exec %s: %w: %s", x.input.Process.Args[0], not.Errno, why)
		}
		return process.ExecError(x.sandbox.Root, x.input.Process.Args[0], not.Errno, x.input)
	}
	op, errno := failedCall(err)
	switch {
	case op == launch.JoinCgroup:
		return fmt.Errorf("cannot join the container's cgroup: %w", cgroup.ExplainJoin(errno))
	case op == launch.OpenDirectory:
		return fmt.Errorf("chdir to cwd (%q) set in config.json failed: %w", x.input.Process.Cwd, errno)
	case op == plan.ForkLabel && errno == unix.EAGAIN:
		return fmt.Errorf("%w: a limit of processes is reached (linux.resources.pids.limit, RLIMIT_NPROC)", err)
	}
	// Whatever it was: when init has ended, so has the container.
	if _, alive, lookErr := x.c.process().Alive(); lookErr == nil && !alive && !errors.Is(err, context.Canceled) {
		return stateError(x.c.rec.ID, "exec", Stopped, textExecStopped)
	}
	if failed, ok := err.(*StepError); ok { //nolint:errorlint // only the outermost says where it comes from
		out := *failed
		out.From = "" // it need not be in config.json
		return &out
	}
	return err
}
