package launch

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

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
	l.site.pidfd, l.site.beside = pidfd, l.tailBesideInit()
	l.site.entered.Open()
	l.Born(l.init(), l.program.Len())
	l.Thread.Wait()
	sandbox := l.sandbox
	defer l.closeSandbox()
	if err := l.site.built; err != nil {
		return err
	}
	l.master, sandbox.Master = sandbox.Master, nil
	if err := l.doTail(); err != nil || l.site.beside {
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
