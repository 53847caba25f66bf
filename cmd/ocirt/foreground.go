package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

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
	pidfd, err := unix.PidfdOpen(r.container.Pid(), 0) // our child, not waited for yet
	if err != nil {
		return 0, errors.Join(fmt.Errorf("cannot open init: %w", err), r.app.remove(ctx, r.container))
	}
	defer unix.Close(pidfd)
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

// forwardSignals passes on to init what this process is sent. The signals that the Go
// runtime sends to itself, news of children, and those of our own writing are not for it.
func (r *running) forwardSignals(pidfd int) (stop func()) {
	signal.Ignore(unix.SIGPIPE) // it would end us with the terminal in raw mode
	ch := make(chan os.Signal, 128)
	signal.Notify(ch)
	signal.Reset(unix.SIGCHLD, unix.SIGURG)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.terminal.restoreOnPanic()
		for sig := range ch {
			r.forward(pidfd, sig)
		}
	}()
	return func() {
		signal.Stop(ch)
		close(ch)
		<-done
	}
}

func (r *running) forward(pidfd int, sig os.Signal) {
	s, ok := sig.(unix.Signal)
	switch {
	case !ok, s == unix.SIGCHLD, s == unix.SIGURG, s == unix.SIGPIPE:
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
