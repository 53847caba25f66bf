package launch

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// A site is where a thread works that init is born of: it starts init and builds the sandbox in
// one go. It is told what it needs by gates, and waits only for what it needs next: each change
// from one thread to another costs as much as several mounts.
type site struct {
	born    gate // by the thread: init is started, or bornErr says why not
	bornErr error

	has     bool // given has been passed
	given   gate // to the thread: what init hands over has come
	entered gate // to the thread: init is in its cgroups, and pidfd is open
	pidfd   int
	left    atomic.Bool // nobody will open these gates for what they are there for
	built   error       // to be looked at when the thread has nothing to do

	beside bool // init was told by the thread
}

// beginOnThread lets the thread start init and build.
func (l *Launch) beginOnThread() {
	l.site.born, l.site.given, l.site.entered = newGate(), newGate(), newGate()
	l.Thread.Begin(func(made error) {
		l.site.bornErr = l.start(made)
		if l.site.bornErr == nil {
			l.sandbox = l.newSandbox()
		}
		l.site.born.open()
		if l.site.bornErr == nil {
			l.site.built = l.buildOnThread()
		}
	})
}

// leave lets a thread that waits for something to be told go on without.
func (l *Launch) leave() {
	if s := &l.site; l.Thread != nil && !s.left.Swap(true) {
		s.given.open()
		s.entered.open()
	}
}

// errLeft is what a thread ends with that has waited in vain.
var errLeft = errors.New("nobody wants the sandbox any more")

// buildOnThread does the sandbox section. What needs nothing of init but what it hands over is
// done while it is on its way into its cgroups.
func (l *Launch) buildOnThread() error {
	unix.Umask(0) // all modes are given in full
	n, err := l.buildEarly()
	if err != nil {
		return err
	}
	if l.site.entered.wait(); l.site.left.Load() {
		return errLeft
	}
	if flags := l.Plan.Namespaces.BuilderFlags(); flags != 0 {
		if err := unix.Setns(l.site.pidfd, flags); err != nil {
			return fmt.Errorf("cannot enter the container's namespaces: %w", err)
		}
	}
	for ; n < hostTail(l.Plan.Sandbox); n++ {
		l.takeOpened(n)
		if err := l.buildStep(l.Plan.Sandbox[n], l.sandbox); err != nil {
			return err
		}
	}
	if l.site.beside {
		return l.send(l.sandbox) // from here: init need not wait for a change of thread
	}
	return nil
}

// buildEarly does the first steps, as far as they are early ones, and says how many it has done.
func (l *Launch) buildEarly() (n int, err error) {
	if l.Plan.Namespaces.BuilderFlags()&^unix.CLONE_NEWCGROUP != 0 {
		return 0, nil // it is not where it will build yet
	}
	for ; n < hostTail(l.Plan.Sandbox); n++ {
		s := l.Plan.Sandbox[n].Step
		if early, ok := s.(step.EarlyStep); !ok || !early.Early() {
			break
		}
		l.sandbox.Files = nil
		if _, ok := s.(step.Giver); ok {
			if l.points.Given < 0 {
				break
			}
			if err := l.takeGiven(n); err != nil {
				return n, err
			}
		}
		if err := l.buildStep(l.Plan.Sandbox[n], l.sandbox); err != nil {
			return n, err
		}
	}
	return n, nil
}

// takeGiven waits for what init hands over and takes what it has for a step. From then on
// nothing but this thread touches what was opened for steps.
func (l *Launch) takeGiven(n int) error {
	if !l.site.has {
		if l.site.given.wait(); l.site.left.Load() {
			return errLeft
		}
		l.site.has = true
	}
	l.takeOpened(n)
	return nil
}

// takeOpened gives the sandbox the files that were opened for a step.
func (l *Launch) takeOpened(n int) {
	l.sandbox.Files = l.opened[n]
	delete(l.opened, n)
}
