package runtime

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// WaitReaping is Wait for a process that is a sub-reaper (prctl(2), PR_SET_CHILD_SUBREAPER):
// until the container's first process ends it also takes the statuses of all other children,
// which are orphans of the container, and gives their pids to reaped, which may be nil. A
// program with children that somebody else waits for must use Wait.
func (c *Container) WaitReaping(ctx context.Context, reaped func(pid int)) (int, error) {
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
		pid, err := unix.Wait4(-1, &ws, 0, nil)
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
		if ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return ws.ExitStatus(), nil
	}
}
