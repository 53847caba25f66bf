package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

// An interruption is a signal that was to end this process, as the cause of something that
// was given up.
type interruption unix.Signal

func (i interruption) Error() string { return "interrupted by " + unix.SignalName(unix.Signal(i)) }

// endedBySignal is longer than it takes until a signal to this process ends it: another of
// its threads may be the one that gets it.
const endedBySignal = 100 * time.Millisecond

// endBy lets a signal do what it would have done at once, and returns the exit status for
// when it does nothing, because our caller has it ignored.
func (s *signals) endBy(sig unix.Signal) int {
	s.reset(sig)
	_ = unix.Kill(unix.Getpid(), sig)
	time.Sleep(endedBySignal)
	return 128 + int(sig)
}

// until is a context that is done with the first signal that waits.
func (s *signals) until(ctx context.Context) context.Context {
	s.look()
	ctx, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveUp = cancel
	if s.early != 0 {
		cancel(interruption(s.early))
	}
	return ctx
}

// ended is the error of what was done in the context of until; if it was given up because of
// a signal, that signal ends this process.
func (s *signals) ended(err error) error {
	var why interruption
	if err == nil || !errors.As(err, &why) {
		return err
	}
	s.app.log.Debug("given up", "error", err.Error())
	s.app.release()
	return exitCode(s.endBy(unix.Signal(why)))
}

// holdEnd is holdSignals for a process that has none to pass on.
func (a *app) holdEnd() *signals {
	s := &signals{app: a, hold: true}
	s.catch()
	return s
}

// catch begins to catch those that end a process.
func (s *signals) catch() {
	s.ch = make(chan os.Signal, 8)
	for _, sig := range []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
		if !signal.Ignored(sig) {
			signal.Notify(s.ch, sig)
		}
	}
	go func() {
		for sig := range s.ch {
			if n, ok := sig.(unix.Signal); ok {
				s.take(n)
			}
		}
	}()
}

// letGo gives signals their own meaning again, and returns the one that waits.
func (s *signals) letGo() unix.Signal {
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.early
}

// makeAlone is make for a process that does not stay with the container. A signal that would
// end it while it runs hooks, and leave them and half a container behind, makes it give up.
// Without hooks there is nothing to wait for, and signals are not worth their catching.
func (cr *creation) makeAlone(ctx context.Context, id string, b *spec.Bundle) (*runtime.Container, error) {
	if !hooksOfCreate(b) {
		return cr.make(ctx, id, b)
	}
	s := cr.app.holdEnd()
	container, err := cr.make(s.until(ctx), id, b)
	if err != nil {
		return nil, s.ended(err)
	}
	early := s.letGo()
	if early == 0 {
		return container, nil
	}
	err = cr.app.remove(ctx, container)
	_ = container.Close()
	if err != nil {
		return nil, err
	}
	return nil, s.ended(interruption(early))
}

// startAlone starts a container from a process that does not stay with it, as makeAlone makes
// one.
func (a *app) startAlone(ctx context.Context, o runtime.StartOptions, start func(context.Context, runtime.StartOptions) error) error {
	s := &signals{app: a, hold: true}
	o.BeforeHooks = s.catch
	if err := start(s.until(ctx), o); err != nil {
		return s.ended(err)
	}
	if early := s.letGo(); early != 0 {
		return s.ended(interruption(early)) // it was too late to have another effect
	}
	return nil
}

// hooksOfCreate reports whether hooks run while a container is made.
func hooksOfCreate(b *spec.Bundle) bool {
	h := b.Spec.Hooks
	//nolint:staticcheck // prestart is deprecated by the specification, and still what engines send
	return h != nil && len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) > 0
}
