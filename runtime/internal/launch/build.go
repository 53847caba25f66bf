package launch

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// build lets the builder do the sandbox section, and tells init what it found.
func (l *launch) build() error {
	if l.wire >= 0 {
		return l.buildRemote()
	}
	sandbox := &step.Sandbox{Input: l.Input, Pid: l.init(), Context: l.Host.Context, Warn: l.Host.Warn}
	pidfd, err := unix.PidfdOpen(l.init(), 0)
	if err != nil {
		return fmt.Errorf("cannot open init: %w", err)
	}
	defer unix.Close(pidfd)
	flags := l.Plan.Namespaces.BuilderFlags()
	beside := l.tailBesideInit()
	OnOwnThread(func() {
		if err = l.buildHere(pidfd, flags, sandbox); err == nil && beside {
			err = l.send(sandbox) // from here: init need not wait for a change of thread
		}
	})
	defer closeFiles([]*os.File{sandbox.Root, sandbox.Proc, sandbox.Cwd, sandbox.Console})
	if err != nil {
		closeFiles([]*os.File{sandbox.Master})
		return err
	}
	l.master = sandbox.Master
	if err := l.doTail(); err != nil || beside {
		return err
	}
	return l.send(sandbox)
}

// tailBesideInit reports whether the last of the host's steps can be done while init, which
// has what it needs, prepares itself. It does not go on before they are done.
func (l *launch) tailBesideInit() bool {
	for _, e := range l.Plan.Sandbox[hostTail(l.Plan.Sandbox):] {
		if s, ok := e.Step.(interface{ BesideInit() bool }); !ok || !s.BesideInit() {
			return false
		}
	}
	return true
}

// OnOwnThread runs f on a thread that nothing else will run on, ever: it changes the
// thread's namespaces. It is never the main thread, because what /proc/self shows of the
// process is that one.
func OnOwnThread(f func()) {
	done := make(chan struct{})
	var own func()
	own = func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			inner := make(chan struct{})
			go func() { defer close(inner); own() }()
			<-inner
			runtime.UnlockOSThread() // nothing was changed here
			return
		}
		defer close(done)
		linux.GrowStack()
		f()
	}
	go own()
	<-done
}

// buildHere does the sandbox section on this thread, in the namespaces of a process.
func (l *launch) buildHere(pidfd, flags int, sandbox *step.Sandbox) error {
	// Threads share root and working directory; a mount namespace can be entered only by
	// one that does not (setns(2)).
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("cannot unshare the working directory: %w", err)
	}
	if flags != 0 {
		if err := unix.Setns(pidfd, flags); err != nil {
			return fmt.Errorf("cannot enter the container's namespaces: %w", err)
		}
	}
	old := unix.Umask(0)
	defer unix.Umask(old)
	for i, e := range l.Plan.Sandbox[:hostTail(l.Plan.Sandbox)] {
		var err error
		switch s := e.Step.(type) {
		case step.SandboxStep:
			sandbox.Files = l.opened[i]
			delete(l.opened, i)
			err = s.Do(sandbox)
		case step.HostStep:
			err = l.onHost(s)
		default:
			err = fmt.Errorf("bug in ocirt: it is a %T", e.Step)
		}
		if err != nil {
			return &step.Error{Step: e.Step.String(), From: e.From, Where: "builder", Err: err}
		}
	}
	return nil
}

// onHost does a step in ocirt's own namespaces while the builder waits: on another thread.
func (l *launch) onHost(s step.HostStep) error {
	l.Host.Pid = l.init()
	result := make(chan error)
	go func() { result <- s.Do(l.Host) }()
	return <-result
}
