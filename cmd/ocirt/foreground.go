package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/cmd/ocirt/internal/sigpipe"
	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

// becomeSubreaper makes the container's orphans children of this process, which can then
// wait for them.
func becomeSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot become the sub-reaper: %w", err)
	}
	return nil
}

// foreground starts the container, stays until its end, and removes it.
func (r *running) foreground(ctx context.Context) (status int, err error) {
	// Our child, not waited for yet. It stays open, because signals are forwarded to it up
	// to the end of this process.
	pidfd, err := unix.PidfdOpen(r.container.Pid(), 0)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("cannot open init: %w", err), r.app.remove(ctx, r.container))
	}
	if master := r.container.Console(); master != nil {
		if r.terminal, err = openTerminal(master); err != nil {
			return 0, errors.Join(err, r.app.remove(ctx, r.container))
		}
		defer r.terminal.restore()
	}
	early := r.signals.forward(func(sig unix.Signal) error { return unix.PidfdSendSignal(pidfd, sig, nil, 0) }, r.terminal)
	if early != 0 {
		return r.interrupted(ctx, early)
	}
	defer r.signals.stop()
	options := startOptions()
	options.Foreground, options.MayAttend = true, r.signals.handOver
	err = r.start(ctx, options)
	r.signals.takeBack()
	if err != nil {
		return 0, err
	}
	return r.finish(ctx)
}

// attendOptions let a process of 24 KiB do all the rest, if that is possible. Without a
// terminal it has nothing to do but to wait.
func (r *running) attendOptions(b *spec.Bundle) *runtime.AttendOptions {
	if b.Spec.Process == nil || b.Spec.Process.Terminal || r.signals.pipe == nil || !r.app.logStays() {
		return nil
	}
	return &runtime.AttendOptions{Keep: r.keep, Reap: !r.noSubreaper, Caught: r.signals.pipe.FD()}
}

// takeOver goes on where that process could not.
func (r *running) takeOver(ctx context.Context) (status int, err error) {
	rt, err := r.app.openRuntime()
	if err != nil {
		return 0, err
	}
	if r.container, err = rt.TakeOver(); r.container == nil {
		return 0, err
	}
	defer r.container.Close()
	if err != nil {
		return 0, r.notStarted(ctx, err)
	}
	pid := r.container.Pid()
	r.signals = r.app.passSignals(func(sig unix.Signal) error { return unix.Kill(pid, sig) }) // ours, until it is waited for
	defer r.signals.stop()
	return r.finish(ctx)
}

// finish stays until the container's end, and removes it.
func (r *running) finish(ctx context.Context) (status int, err error) {
	if status, err = r.wait(ctx); err != nil {
		return 0, err
	}
	r.app.log.Debug("ended", "id", r.container.ID(), "status", status)
	if !r.keep {
		err = r.app.remove(ctx, r.container)
	}
	if r.terminal != nil {
		r.terminal.finish()
	}
	if err != nil {
		r.terminal.restore()
		r.app.report(err) // the container's own status counts for more
	}
	return status, nil
}

// interrupted removes a container that was made in spite of a signal, and lets the signal do
// what it would have done at once.
func (r *running) interrupted(ctx context.Context, sig unix.Signal) (status int, err error) {
	err = r.app.remove(ctx, r.container)
	r.terminal.restore()
	if err != nil {
		return 0, err
	}
	return r.signals.endBy(sig), nil
}

// forwardedAtOnce are the signals that are caught from before the container starts. The
// others follow a moment later: each that is caught costs the Go runtime two changes of
// thread, which is more than a short container takes.
func forwardedAtOnce(terminal bool) []os.Signal {
	list := []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGCONT}
	if terminal {
		list = append(list, unix.SIGWINCH)
	}
	return list
}

const forwardRest = 20 * time.Millisecond

// A signals is what this process is sent while it runs a process of a container.
type signals struct {
	ch       chan os.Signal
	atOnce   []os.Signal
	ready    chan struct{} // closed when those of forwardedAtOnce are caught
	app      *app
	send     func(unix.Signal) error // to whom
	terminal *terminal
	rest     *time.Timer

	mu    sync.Mutex
	on    bool        // they are passed on; if not, each does what it would do without us
	hold  bool        // but the first that would end this process waits
	early unix.Signal // this one

	giveUp context.CancelCauseFunc // called with it, if not nil

	pipe    *sigpipe.Pipe // has them until watch; nil: they come by ch
	once    sync.Once     // of watch
	settled bool          // forwardRest is over
	handed  bool          // it is not waited for any more
}

// catchSignals begins to catch signals, beside the making of the process. Until forward each
// does what it would do without us.
func (a *app) catchSignals(terminal bool) *signals { return a.watchSignals(terminal, false) }

// holdSignals is catchSignals for where half of something would be left behind: a signal
// that would end this process waits until forward, which returns it. A second one of the
// same kind does not wait: a hook may hang.
func (a *app) holdSignals() *signals { return a.watchSignals(false, true) }

func (a *app) watchSignals(terminal, hold bool) *signals {
	s := &signals{app: a, ch: make(chan os.Signal, 128), ready: make(chan struct{}), hold: hold, atOnce: forwardedAtOnce(terminal)}
	if !terminal && s.openPipe() {
		return s
	}
	go func() {
		signal.Ignore(unix.SIGPIPE) // it would end us with the terminal in raw mode
		signal.Notify(s.ch, s.atOnce...)
		close(s.ready)
	}()
	go s.listen()
	return s
}

func (s *signals) listen() {
	defer s.restoreOnPanic()
	for sig := range s.ch {
		if n, ok := sig.(unix.Signal); ok {
			s.take(n)
		}
	}
}

// openPipe catches signals in a pipe, where they stay until there is time for os/signal:
// until forwardRest is over, or forward wants to know what there is. It reports whether that
// is possible.
func (s *signals) openPipe() bool {
	list := make([]unix.Signal, 0, len(s.atOnce))
	for _, sig := range s.atOnce {
		list = append(list, sig.(unix.Signal))
	}
	var err error
	if s.pipe, err = sigpipe.Catch(list...); err != nil {
		s.pipe = nil
		return false
	}
	signal.Ignore(unix.SIGPIPE)
	close(s.ready)
	s.rest = time.AfterFunc(forwardRest, func() {
		s.watch()
		s.mu.Lock()
		s.settled = true
		on := s.on
		s.mu.Unlock()
		if on {
			s.notifyRest()
		}
	})
	return true
}

// watch hears of signals at once from now on.
func (s *signals) watch() {
	if s.pipe == nil {
		return
	}
	s.once.Do(func() {
		go s.listen()
		signal.Notify(s.ch, s.atOnce...)
		for _, sig := range s.atOnce {
			s.pipe.Reset(sig.(unix.Signal))
		}
	})
	s.look()
}

// look takes what has come by the pipe.
func (s *signals) look() {
	if s.pipe == nil {
		return
	}
	for sig, ok := s.pipe.Next(); ok; sig, ok = s.pipe.Next() {
		s.take(sig)
	}
}

// reset lets a signal do what it would do without us.
func (s *signals) reset(sig unix.Signal) {
	if s.pipe != nil {
		s.pipe.Reset(sig)
	}
	signal.Reset(sig)
}

// take does what is to be done with a signal.
func (s *signals) take(sig unix.Signal) {
	s.mu.Lock()
	on, waits := s.on, !s.on && s.hold && sig != s.early
	if waits && s.early == 0 && sig != unix.SIGCONT && sig != unix.SIGWINCH {
		s.early = sig
		if s.giveUp != nil {
			s.giveUp(interruption(sig))
		}
	}
	s.mu.Unlock()
	switch {
	case on:
		s.pass(sig)
	case !waits:
		s.reset(sig)
		_ = unix.Kill(unix.Getpid(), sig)
	}
}

// forward passes on to a process what this one is sent. The signals that the Go runtime
// sends to itself, news of children, and those of our own writing are not for it. If there
// was one that waited it is returned, and nothing is passed on.
func (s *signals) forward(send func(unix.Signal) error, t *terminal) (early unix.Signal) {
	<-s.ready
	if t != nil {
		s.watch() // who sits there is not to wait
	}
	s.look()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.early != 0 {
		return s.early
	}
	s.send, s.terminal, s.on = send, t, true
	if t != nil {
		signal.Notify(s.ch, unix.SIGWINCH) // holdSignals did not know of it
	}
	if s.pipe == nil || s.settled {
		s.rest = time.AfterFunc(forwardRest, s.notifyRest)
	}
	return 0
}

// notifyRest catches the signals that are left.
func (s *signals) notifyRest() {
	for n := unix.Signal(1); n <= sigRTMax; n++ {
		if n != unix.SIGCHLD && n != unix.SIGURG && n != unix.SIGPIPE {
			signal.Notify(s.ch, n)
		}
	}
}

// passSignals passes on what this process is sent, and has been sent while all signals were
// blocked.
func (a *app) passSignals(send func(unix.Signal) error) *signals {
	s := &signals{app: a, ch: make(chan os.Signal, 128), send: send, on: true}
	signal.Ignore(unix.SIGPIPE)
	s.notifyRest()
	go s.listen()
	return s
}

// handOver lets what is left in the pipe to another program, if all came by it.
func (s *signals) handOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handed = s.pipe != nil && !s.settled && s.rest.Stop()
	return s.handed
}

// takeBack is for when nobody wanted it.
func (s *signals) takeBack() {
	if s.handed {
		s.rest.Reset(forwardRest)
	}
}

// stop gives signals their own meaning again.
func (s *signals) stop() {
	if s.rest != nil {
		s.rest.Stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on, s.hold = false, false
}

// restoreOnPanic gives the user's terminal back before a bug of ours is shown.
func (s *signals) restoreOnPanic() {
	if v := recover(); v != nil {
		s.terminal.restore()
		panic(v)
	}
}

func (s *signals) pass(n unix.Signal) {
	if n == unix.SIGWINCH && s.terminal != nil {
		s.terminal.resize()
		return
	}
	if err := s.send(n); err != nil && !errors.Is(err, unix.ESRCH) {
		s.app.log.Warn("cannot forward a signal", "signal", n.String(), "error", err.Error())
	}
}

// wait waits for init's end. With --no-subreaper orphans of the container go elsewhere.
func (r *running) wait(ctx context.Context) (int, error) {
	runtime.TrimMemory()
	if r.noSubreaper {
		return r.container.Wait(ctx)
	}
	return r.container.WaitReaping(ctx, func(pid int) {
		r.app.log.Debug("reaped an orphan of the container", "pid", pid)
	})
}
