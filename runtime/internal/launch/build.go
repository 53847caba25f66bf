package launch

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// beginBuilding lets the thread that builds do what needs nothing of init, which is on its
// way into its cgroups meanwhile, and then wait for init and build the rest: init need not wait
// until another thread has handed it over.
func (l *Launch) beginBuilding() {
	if l.Thread == nil || l.Plan.Namespaces.BuilderFlags()&^unix.CLONE_NEWCGROUP != 0 {
		return
	}
	l.sandbox, l.alone = l.newSandbox(), true
	l.Thread.Begin(func(error) {
		if l.early.err = l.buildEarly(); l.early.err == nil {
			l.early.err = l.buildWhenEntered()
		}
	})
}

// buildEarly does the steps that need nothing of init.
func (l *Launch) buildEarly() error {
	unix.Umask(0) // all modes are given in full
	for _, e := range l.Plan.Sandbox {
		if _, ok := e.Step.(step.EarlyStep); !ok {
			return nil
		}
		if err := l.buildStep(e, l.sandbox); err != nil {
			return err
		}
		l.early.steps++
	}
	return nil
}

// buildWhenEntered builds when init says that it has entered its namespaces. Anything else that
// it says is left for converse.
func (l *Launch) buildWhenEntered() error {
	r, files, err := l.receive()
	if err != nil || r.Errno != 0 || r.Call != l.points.Entered {
		l.first = &said{r, files, err}
		return nil
	}
	if len(files) > 0 {
		if err := l.take(files); err != nil {
			return err
		}
	}
	return l.buildAndTell()
}

// buildAndTell builds, on this thread, and tells init what it needs, unless there is something
// left to be done on the host that init must not be beside.
func (l *Launch) buildAndTell() error {
	pidfd, err := unix.PidfdOpen(l.init(), 0)
	if err != nil {
		return fmt.Errorf("cannot open init: %w", err)
	}
	defer unix.Close(pidfd)
	if err := l.buildHere(pidfd, l.Plan.Namespaces.BuilderFlags(), l.sandbox); err != nil || !l.tailBesideInit() {
		return err
	}
	return l.send(l.sandbox) // from here: init need not wait for a change of thread
}

// builtAlone waits for the thread that builds, and reports whether it has heard init, and has
// built.
func (l *Launch) builtAlone() (bool, error) {
	l.Born(l.init(), l.program.Len())
	l.Thread.Wait()
	if l.first != nil {
		return false, nil
	}
	return true, l.finish(l.early.err)
}

// finish is what is left to do when the builder's thread has built, or not.
func (l *Launch) finish(err error) error {
	defer l.closeSandbox()
	if err != nil {
		return err
	}
	l.master, l.sandbox.Master = l.sandbox.Master, nil
	if err := l.doTail(); err != nil || l.tailBesideInit() {
		return err
	}
	return l.send(l.sandbox)
}

func (l *Launch) newSandbox() *step.Sandbox {
	return &step.Sandbox{Input: l.Input, Pid: l.init(), Context: l.Host.Context, Warn: l.Host.Warn}
}

// build lets the builder do the sandbox section, and tells init what it found.
func (l *Launch) build() error {
	if l.wire >= 0 {
		return l.buildRemote()
	}
	if l.sandbox == nil {
		l.sandbox = l.newSandbox()
	}
	var err error
	l.Thread.Begin(func(error) { err = l.buildAndTell() })
	if !l.alone {
		l.Born(l.init(), l.program.Len())
	}
	l.Thread.Wait()
	return l.finish(err)
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
