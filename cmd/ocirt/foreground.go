package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
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
	r.signals.forward(func(sig unix.Signal) error { return unix.PidfdSendSignal(pidfd, sig, nil, 0) }, r.terminal)
	defer r.signals.stop()
	options := startOptions()
	options.Foreground = true
	if err := r.start(ctx, options); err != nil {
		return 0, err
	}
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

// forwardedAtOnce are the signals that are passed on from before the container starts. The
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
	ready    chan struct{} // closed when those of forwardedAtOnce are caught
	on       atomic.Bool   // they are passed on; if not, each does what it would do without us
	app      *app
	send     func(unix.Signal) error // to whom
	terminal *terminal
	rest     *time.Timer
}

// catchSignals begins to catch signals, beside the making of the process.
func (a *app) catchSignals(terminal bool) *signals {
	s := &signals{app: a, ch: make(chan os.Signal, 128), ready: make(chan struct{})}
	go func() {
		signal.Ignore(unix.SIGPIPE) // it would end us with the terminal in raw mode
		signal.Notify(s.ch, forwardedAtOnce(terminal)...)
		close(s.ready)
	}()
	go func() {
		defer s.restoreOnPanic()
		for sig := range s.ch {
			if !s.on.Load() {
				signal.Reset(sig)
				_ = unix.Kill(unix.Getpid(), sig.(unix.Signal))
				continue
			}
			s.pass(sig)
		}
	}()
	return s
}

// forward passes on to a process what this one is sent. The signals that the Go runtime
// sends to itself, news of children, and those of our own writing are not for it.
func (s *signals) forward(send func(unix.Signal) error, t *terminal) {
	<-s.ready
	s.send, s.terminal = send, t
	s.on.Store(true)
	s.rest = time.AfterFunc(forwardRest, func() {
		for n := unix.Signal(1); n <= sigRTMax; n++ {
			if n != unix.SIGCHLD && n != unix.SIGURG && n != unix.SIGPIPE {
				signal.Notify(s.ch, n)
			}
		}
	})
}

// stop gives signals their own meaning again.
func (s *signals) stop() {
	if s.rest != nil {
		s.rest.Stop()
	}
	s.on.Store(false)
}

// restoreOnPanic gives the user's terminal back before a bug of ours is shown.
func (s *signals) restoreOnPanic() {
	if v := recover(); v != nil {
		s.terminal.restore()
		panic(v)
	}
}

func (s *signals) pass(sig os.Signal) {
	n, ok := sig.(unix.Signal)
	switch {
	case !ok:
		return
	case n == unix.SIGWINCH && s.terminal != nil:
		s.terminal.resize()
		return
	}
	if err := s.send(n); err != nil && !errors.Is(err, unix.ESRCH) {
		s.app.log.Warn("cannot forward a signal", "signal", n.String(), "error", err.Error())
	}
}

// wait waits for init's end. With --no-subreaper orphans of the container go elsewhere.
func (r *running) wait(ctx context.Context) (int, error) {
	if r.noSubreaper {
		return r.container.Wait(ctx)
	}
	return r.container.WaitReaping(ctx, func(pid int) {
		r.app.log.Debug("reaped an orphan of the container", "pid", pid)
	})
}
