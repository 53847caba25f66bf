package runtime

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Wait waits for the end of the container's first process and returns its exit status, or
// 128 plus the number of the signal that ended it. Only the process that created the
// container can wait for it. When ctx is done the container is killed.
func (c *Container) Wait(ctx context.Context) (int, error) {
	return c.wait(ctx, c.rec.Pid, nil)
}

// WaitReaping is Wait for a process that is a sub-reaper (prctl(2), PR_SET_CHILD_SUBREAPER):
// until the container's first process ends it also takes the statuses of all other children,
// which are orphans of the container, and gives their pids to reaped, which may be nil. A
// program with children that somebody else waits for must use Wait.
func (c *Container) WaitReaping(ctx context.Context, reaped func(pid int)) (int, error) {
	return c.wait(ctx, -1, reaped)
}

// wait waits for children, which are those of wait4(2), until init is among them.
func (c *Container) wait(ctx context.Context, children int, reaped func(pid int)) (int, error) {
	if c.self == nil {
		return 0, fmt.Errorf("cannot wait for container %s: it is not a child of this process", c.rec.ID)
	}
	if pidfd, err := c.process().Open(); err == nil {
		defer unix.Close(pidfd)
		stop := context.AfterFunc(ctx, func() { _ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) })
		defer stop()
	}
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(children, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, os.NewSyscallError("wait4", err)
		case pid != c.rec.Pid:
			if reaped != nil {
				reaped(pid)
			}
			continue
		}
		c.self.init.Reaped = true
		c.self.notify.finish()
		if ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return ws.ExitStatus(), nil
	}
}

// reap takes the status of a first process that is our child and has ended, so that no
// zombie keeps its cgroup from being removed.
func (c *Container) reap() {
	if c.self != nil && !c.self.init.Reaped {
		_, _ = unix.Wait4(c.rec.Pid, nil, unix.WNOHANG, nil)
	}
}
