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
	stop := r.forwardSignals(pidfd)
	defer stop()
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

// A signals is what this process is sent while it runs a container.
type signals struct {
	ch    chan os.Signal
	ready chan struct{} // closed when those of forwardedAtOnce are caught
	on    atomic.Bool   // they are passed on; if not, each does what it would do without us
	pidfd int           // to whom
}

// catchSignals begins to catch signals, beside the making of the container.
func (r *running) catchSignals(terminal bool) *signals {
	s := &signals{ch: make(chan os.Signal, 128), ready: make(chan struct{})}
	go func() {
		signal.Ignore(unix.SIGPIPE) // it would end us with the terminal in raw mode
		signal.Notify(s.ch, forwardedAtOnce(terminal)...)
		close(s.ready)
	}()
	go func() {
		defer r.restoreOnPanic()
		for sig := range s.ch {
			if !s.on.Load() {
				signal.Reset(sig)
				_ = unix.Kill(unix.Getpid(), sig.(unix.Signal))
				continue
			}
			r.forward(s.pidfd, sig)
		}
	}()
	return s
}

// forwardSignals passes on to init what this process is sent. The signals that the Go
// runtime sends to itself, news of children, and those of our own writing are not for it.
func (r *running) forwardSignals(pidfd int) (stop func()) {
	s := r.signals
	<-s.ready
	s.pidfd = pidfd
	s.on.Store(true)
	rest := time.AfterFunc(forwardRest, func() {
		for n := unix.Signal(1); n <= sigRTMax; n++ {
			if n != unix.SIGCHLD && n != unix.SIGURG && n != unix.SIGPIPE {
				signal.Notify(s.ch, n)
			}
		}
	})
	return func() {
		rest.Stop()
		s.on.Store(false)
	}
}

// restoreOnPanic gives the user's terminal back before a bug of ours is shown.
func (r *running) restoreOnPanic() {
	if v := recover(); v != nil {
		r.terminal.restore()
		panic(v)
	}
}

func (r *running) forward(pidfd int, sig os.Signal) {
	s, ok := sig.(unix.Signal)
	switch {
	case !ok:
		return
	case s == unix.SIGWINCH:
		r.terminal.resize()
		return
	}
	if err := unix.PidfdSendSignal(pidfd, s, nil, 0); err != nil && err != unix.ESRCH {
		r.app.log.Warn("cannot forward a signal", "signal", s.String(), "error", err.Error())
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
