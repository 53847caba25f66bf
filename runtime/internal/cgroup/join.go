package cgroup

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// JoinFiles opens the tasks file of every v1 hierarchy, for writing. A process joins the
// container's group by writing "0" to each of them, in any order, before it makes its
// cgroup namespace and while it has one thread. It is tasks and not cgroup.procs because
// a thread that moves itself takes no global lock.
//
// The v2 group is not among them, see [Group.CgroupFD]. On a pure v2 host the list is
// empty. The files are close-on-exec; the caller closes them.
func (g *Group) JoinFiles() ([]*os.File, error) {
	files := make([]*os.File, 0, len(g.Paths))
	for _, name := range names(g.Paths) {
		if name == "" {
			continue
		}
		file := g.Paths[name] + "/tasks"
		fd, err := openAt(unix.AT_FDCWD, file, unix.O_WRONLY)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, pathError("open", file, err)
		}
		files = append(files, newFile(fd, file))
	}
	return files, nil
}

// CgroupFD opens the v2 group for [syscall.SysProcAttr].CgroupFD, with which a process is
// born in it (clone3 with CLONE_INTO_CGROUP). It is nil if the group is in no v2 tree. On
// a hybrid host it is needed beside [Group.JoinFiles]. A process that cannot be born there
// joins by writing "0" to the group's cgroup.procs, at the price of the global lock. The
// caller closes it.
//
// The clone fails with EBUSY if the group passes controllers on to groups below it, and
// with EOPNOTSUPP if it is part of a threaded tree; exec then goes to the group that the
// container's init is in. See [ExplainJoin].
func (g *Group) CgroupFD() (*os.File, error) {
	dir, ok := g.Paths[""]
	if !ok {
		return nil, nil
	}
	fd, err := openDir(dir)
	if err != nil {
		return nil, pathError("open", dir, err)
	}
	return newFile(fd, dir), nil
}

// ExplainJoin says in words why a process cannot join a group, for the errors whose own
// text misleads. Other errors come back as they are.
func ExplainJoin(err error) error {
	switch {
	case errors.Is(cause(err), unix.ENOSPC):
		return fmt.Errorf("the cgroup has no processor or memory node (linux.resources.cpu.cpus, linux.resources.cpu.mems): %w", err)
	case errors.Is(cause(err), unix.EBUSY):
		return fmt.Errorf("the cgroup passes controllers on to cgroups below it and may not hold processes itself: %w", err)
	case errors.Is(cause(err), unix.EOPNOTSUPP):
		return fmt.Errorf("the cgroup is, or lies in, a threaded one: %w", err)
	case errors.Is(cause(err), unix.EAGAIN):
		return fmt.Errorf("the cgroup is at its limit of processes (linux.resources.pids.limit): %w", err)
	}
	return err
}
