package launch

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// beginBuilding lets the thread that builds do what needs nothing of init, which is on its
// way into its cgroups meanwhile.
func (l *Launch) beginBuilding() {
	if l.Thread == nil || l.Plan.Namespaces.BuilderFlags()&^unix.CLONE_NEWCGROUP != 0 {
		return
	}
	l.sandbox = l.newSandbox()
	l.Thread.Begin(func(error) {
		unix.Umask(0) // all modes are given in full
		for _, e := range l.Plan.Sandbox {
			if _, ok := e.Step.(step.EarlyStep); !ok || l.early.err != nil {
				return
			}
			l.early.err = l.buildStep(e, l.sandbox)
			l.early.steps++
		}
	})
}

func (l *Launch) newSandbox() *step.Sandbox {
	return &step.Sandbox{Input: l.Input, Pid: l.init(), Context: l.Host.Context, Warn: l.Host.Warn}
}

// build lets the builder do the sandbox section, and tells init what it found.
func (l *Launch) build() error {
	if l.wire >= 0 {
		return l.buildRemote()
	}
	pidfd, err := unix.PidfdOpen(l.init(), 0)
	if err != nil {
		return fmt.Errorf("cannot open init: %w", err)
	}
	defer unix.Close(pidfd)
	l.Thread.Wait()
	if l.sandbox == nil {
		l.sandbox = l.newSandbox()
	}
	sandbox := l.sandbox
	flags := l.Plan.Namespaces.BuilderFlags()
	beside := l.tailBesideInit()
	l.Thread.Begin(func(error) {
		if err = l.early.err; err != nil {
			return
		}
		if err = l.buildHere(pidfd, flags, sandbox); err == nil && beside {
			err = l.send(sandbox) // from here: init need not wait for a change of thread
		}
	})
	l.Born(l.init(), l.program.Len())
	l.Thread.Wait()
	defer l.closeSandbox()
	if err != nil {
		return err
	}
	l.master, sandbox.Master = sandbox.Master, nil
	if err := l.doTail(); err != nil || beside {
		return err
	}
	return l.send(sandbox)
}

// closeSandbox lets go of what the builder had open. Its thread must have nothing to do.
func (l *Launch) closeSandbox() {
	if s := l.sandbox; s != nil {
		closeFiles([]*os.File{s.Root, s.Proc, s.Cwd, s.Console, s.Master})
		l.sandbox = nil
	}
}

// tailBesideInit reports whether the last of the host's steps can be done while init, which
// has what it needs, prepares itself. It does not go on before they are done.
func (l *Launch) tailBesideInit() bool {
	for _, e := range l.Plan.Sandbox[hostTail(l.Plan.Sandbox):] {
		if s, ok := e.Step.(interface{ BesideInit() bool }); !ok || !s.BesideInit() {
			return false
		}
	}
	return true
}

// buildHere does the sandbox section on this thread, in the namespaces of a process.
func (l *Launch) buildHere(pidfd, flags int, sandbox *step.Sandbox) error {
	if flags != 0 {
		if err := unix.Setns(pidfd, flags); err != nil {
			return fmt.Errorf("cannot enter the container's namespaces: %w", err)
		}
	}
	unix.Umask(0)
	for i := l.early.steps; i < hostTail(l.Plan.Sandbox); i++ {
		sandbox.Files = l.opened[i]
		delete(l.opened, i)
		if err := l.buildStep(l.Plan.Sandbox[i], sandbox); err != nil {
			return err
		}
	}
	return nil
}

// buildStep does a step of the sandbox section.
func (l *Launch) buildStep(e step.Entry, sandbox *step.Sandbox) (err error) {
	switch s := e.Step.(type) {
	case step.SandboxStep:
		err = s.Do(sandbox)
	case step.HostStep:
		err = l.onHost(s)
	default:
		err = fmt.Errorf("bug in ocirt: it is a %T", e.Step)
	}
	if err != nil {
		return &step.Error{Step: e.Step.String(), From: e.From, Where: "builder", Err: err}
	}
	return nil
}

// onHost does a step in ocirt's own namespaces while the builder waits: on another thread.
func (l *Launch) onHost(s step.HostStep) error {
	l.Host.Pid = l.init()
	result := make(chan error)
	go func() { result <- s.Do(l.Host) }()
	return <-result
}
