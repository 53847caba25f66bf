package hooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A Process is a hook that has been started.
type Process struct {
	// Wait waits for the end of the process and says how it ended. It is
	// called exactly once.
	Wait func() (syscall.WaitStatus, error)

	// Kill kills the process and what it has started, at once and without
	// asking. It may be called at any time, also after Wait has returned, and
	// must then do nothing.
	Kill func()
}

// A Starter starts a hook: h.Path with the argument vector of [Args], exactly the
// environment h.Env, and the three files as its standard streams. The files belong
// to the caller and are closed when Starter returns, so a Starter that needs them
// longer duplicates them. Process is valid only if the error is nil.
type Starter func(ctx context.Context, h specs.Hook, stdin, stdout, stderr *os.File) (Process, error)

// Args is the argument vector of a hook: its args, which include argv[0], or its
// path alone if there are none.
func Args(h specs.Hook) []string {
	if len(h.Args) == 0 {
		return []string{h.Path}
	}
	return h.Args
}

// StartProcess is the Starter for hooks in the runtime's own namespaces, in the
// current directory.
func StartProcess(ctx context.Context, h specs.Hook, stdin, stdout, stderr *os.File) (Process, error) {
	return startIn("", false)(ctx, h, stdin, stdout, stderr)
}

// startIn starts hooks in a directory, tied to the thread or not: one that is tied is killed
// when the calling thread ends, at the latest with this process (PR_SET_PDEATHSIG).
func startIn(dir string, tied bool) Starter {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if tied {
		attr.Pdeathsig = syscall.SIGKILL
	}
	return func(_ context.Context, h specs.Hook, stdin, stdout, stderr *os.File) (Process, error) {
		// Neither os/exec nor os.StartProcess: the first tidies up the
		// environment, the second takes an absent one for ours, and both reap a
		// process while its group may still have to be killed by number.
		pid, err := syscall.ForkExec(h.Path, Args(h), &syscall.ProcAttr{
			Dir:   dir,
			Env:   h.Env,
			Files: []uintptr{stdin.Fd(), stdout.Fd(), stderr.Fd()},
			Sys:   attr,
		})
		if err != nil {
			return Process{}, startError(dir, err)
		}
		g := &group{pid: pid}
		return Process{Wait: g.wait, Kill: g.kill}, nil
	}
}

// startError tells a missing working directory from a missing hook: both are one
// errno by the time they get here.
func startError(dir string, err error) error {
	if dir == "" {
		return err
	}
	if _, e := os.Stat(dir); e != nil {
		return fmt.Errorf("no working directory: %w", e)
	}
	return err
}

// A group is a process of ours that leads a process group.
type group struct {
	pid    int
	mu     sync.Mutex
	reaped bool
}

// wait waits without reaping first, because until it is reaped the number of the
// group cannot be used again, and kill cannot hit anybody else.
func (g *group) wait() (syscall.WaitStatus, error) {
	const (
		pPid    = 1
		wNoWait = 0x01000000
	)
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPid, uintptr(g.pid), 0, syscall.WEXITED|wNoWait, 0, 0)
		if errno == 0 {
			break
		}
		if errno != syscall.EINTR {
			return 0, os.NewSyscallError("waitid", errno)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reaped = true
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(g.pid, &status, 0, nil)
		if !errors.Is(err, syscall.EINTR) {
			return status, os.NewSyscallError("wait4", err)
		}
	}
}

func (g *group) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.reaped {
		_ = syscall.Kill(-g.pid, syscall.SIGKILL)
	}
}
