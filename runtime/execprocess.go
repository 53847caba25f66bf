package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A Process is a further process of a container, started by Exec.
type Process struct {
	pid     int
	pidfd   *os.File
	console *os.File
}

// Pid is the process's pid in the caller's pid namespace.
func (p *Process) Pid() int { return p.pid }

// Console is the master of the process's terminal, if it has one and it was not sent to a
// console socket. Close closes it.
func (p *Process) Console() *os.File { return p.console }

// Signal sends the process a signal. One that has ended is no error.
func (p *Process) Signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(int(p.pidfd.Fd()), sig, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot signal process %d: %w", p.pid, err)
	}
	return nil
}

// Wait waits for the process's end and returns its exit status, or 128 plus the number of
// the signal that ended it. It is called once. When ctx is done the process is killed.
func (p *Process) Wait(ctx context.Context) (int, error) {
	stop := context.AfterFunc(ctx, func() { _ = p.Signal(unix.SIGKILL) })
	defer stop()
	for {
		var ws unix.WaitStatus
		_, err := unix.Wait4(p.pid, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, os.NewSyscallError("wait4", err)
		case ws.Signaled():
			return 128 + int(ws.Signal()), nil
		}
		return ws.ExitStatus(), nil
	}
}

// Close releases what is held open of the process; the process itself does not notice.
func (p *Process) Close() error {
	if p.console != nil {
		p.console.Close()
		p.console = nil
	}
	return p.pidfd.Close()
}
