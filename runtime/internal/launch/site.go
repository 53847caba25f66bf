package launch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/thread"
)

// A site is where a thread works that init is born of: it starts init and builds the sandbox in
// one go. It is told what it needs by gates, hears from init itself what that hands over, and
// waits only for what it needs next: each change from one thread to another costs as much as
// several mounts.
type site struct {
	born    thread.Gate // by the thread: init is started, or bornErr says why not
	bornErr error

	heard thread.Gate // by the thread: it does not listen to init any more
	first *said       // what it has heard that is not for it

	entered thread.Gate // to the thread: init is in its cgroups, and pidfd is open
	pidfd   int
	beside  bool        // it is the one to tell init when all is built
	left    atomic.Bool // entered is open because nobody wants the sandbox any more

	built error // to be looked at when the thread has nothing to do
}

// said is what receive returns.
type said struct {
	record entry.Record
	files  []*os.File
	err    error
}

// beginOnThread lets the thread start init and build.
func (l *Launch) beginOnThread() {
	s := &l.site
	s.born, s.heard, s.entered = thread.NewGate(), thread.NewGate(), thread.NewGate()
	l.Thread.Begin(func(errno uintptr) {
		var made error
		if errno != 0 {
			made = unix.Errno(errno)
		}
		if s.bornErr = l.start(made); s.bornErr == nil {
			l.sandbox = l.newSandbox()
		}
		s.born.Open()
		if s.bornErr == nil {
			s.built = l.buildOnThread()
		}
	})
}

// leave lets a thread that waits for init's groups go on without.
func (l *Launch) leave() {
	if l.Thread != nil && !l.site.left.Swap(true) {
		l.site.entered.Open()
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
	if l.site.entered.Wait(); l.site.left.Load() {
		return errLeft
	}
	if flags := l.Plan.Namespaces.BuilderFlags(); flags != 0 {
		if err := unix.Setns(l.site.pidfd, flags); err != nil {
			return fmt.Errorf("cannot enter the container's namespaces: %w", err)
		}
	}
	for ; n < hostTail(l.Plan.Sandbox); n++ {
		l.sandbox.Files = l.opened.take(n)
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
	listens := true
	defer func() {
		if listens {
			l.site.heard.Open()
		}
	}()
	if l.Plan.Namespaces.BuilderFlags()&^unix.CLONE_NEWCGROUP != 0 {
		return 0, nil // it is not where it will build yet
	}
	for ; n < hostTail(l.Plan.Sandbox); n++ {
		e := l.Plan.Sandbox[n]
		if early, ok := e.Step.(step.EarlyStep); !ok || !early.Early() {
			break
		}
		if _, ok := e.Step.(step.Giver); ok {
			if l.points.Given < 0 || runtime.GOMAXPROCS(0) == 1 {
				break // a thread that listens would keep the only permission to run
			}
			if listens {
				ok := l.hearGiven()
				listens = false
				l.site.heard.Open()
				if !ok {
					return n, errLeft
				}
			}
		}
		l.sandbox.Files = l.opened.take(n)
		if err := l.buildStep(e, l.sandbox); err != nil {
			return n, err
		}
	}
	return n, nil
}

// hearGiven takes what init hands over. If init says something else it is kept for converse, and
// this thread has nothing more to do.
func (l *Launch) hearGiven() bool {
	r, files, err := l.receive()
	if err == nil && r.Errno == 0 && r.Call == l.points.Given {
		if err = l.take(files); err == nil {
			return true
		}
		files = nil
	}
	l.site.first = &said{r, files, err}
	return false
}

// hear is receive, after what the thread has heard.
func (l *Launch) hear() (entry.Record, []*os.File, error) {
	if s := l.site.first; s != nil {
		l.site.first = nil
		return s.record, s.files, s.err
	}
	return l.receive()
}

// An openings is what was opened for steps of the sandbox section, by their numbers in it.
type openings struct {
	mu    sync.Mutex // the host opens while the thread takes what init has made
	files map[int][]*os.File
}

func (o *openings) put(n int, files []*os.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.files == nil {
		o.files = map[int][]*os.File{}
	}
	o.files[n] = files
}

// take gives the files of a step away.
func (o *openings) take(n int) []*os.File {
	o.mu.Lock()
	defer o.mu.Unlock()
	files := o.files[n]
	delete(o.files, n)
	return files
}

func (o *openings) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, files := range o.files {
		closeFiles(files)
	}
	o.files = nil
}
