package runtime

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Wait waits for the end of the container's first process and returns its exit status, or
// 128 plus the number of the signal that ended it. Only the process that created the
// container can wait for it.
func (c *Container) Wait(ctx context.Context) (int, error) {
	if c.self == nil {
		return 0, fmt.Errorf("cannot wait for container %s: it is not a child of this process", c.rec.ID)
	}
	pidfd, err := c.process().Open()
	if err == nil {
		defer unix.Close(pidfd)
		stop := context.AfterFunc(ctx, func() { _ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) })
		defer stop()
	}
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(c.rec.Pid, &ws, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("wait4", err)
		}
		c.self.init.Reaped = true
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
