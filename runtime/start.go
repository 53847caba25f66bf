package runtime

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/hooks"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/spec"
)

// StartOptions are the choices of Start.
type StartOptions struct {
	// NotifySocket is the address of the service manager's socket for sd_notify(3), to
	// which is passed on what the container says on the socket that Create gave it. Empty:
	// nobody listens.
	NotifySocket string
	// Foreground passes it on until the container's end, while the caller is in Wait or
	// WaitReaping and stays the service's main process. Otherwise Start returns only when
	// the container has said that it is ready, or has ended, and its first process is the
	// main one.
	Foreground bool

	// MayAttend is asked, if there are AttendOptions, when the container is about to run,
	// whether this process may be replaced. Nil: it may not.
	MayAttend func() bool

	// BeforeHooks is called before the first hook, if there are startContainer or poststart
	// hooks: a program that wants to be told of signals while it waits for one needs to
	// catch them only then. Nil: nothing is called.
	BeforeHooks func()
}

// Start lets a created container's first process become the container's program, and
// returns when it has, or with the reason why it could not. When ctx is done, a hook that
// runs is killed and counts as one that has failed.
func (c *Container) Start(ctx context.Context, o StartOptions) error {
	n, err := c.start(ctx, o)
	if err != nil || n == nil {
		return err
	}
	// The container may be killed and deleted while we wait: the lock is free.
	go n.run()
	if n.stay {
		c.self.notify = n
		return nil
	}
	return n.wait(ctx)
}

// start starts the container. The notifier that it returns does not run yet; it is nil if
// there is nothing to pass on.
func (c *Container) start(ctx context.Context, o StartOptions) (_ *notifier, err error) {
	held := c.dir.Locked() // since it was made: see CreateOptions.Hold
	if err := c.dir.Lock(ctx); err != nil {
		return nil, err
	}
	defer c.dir.Unlock()
	if c.self != nil {
		defer c.self.init.LetGo()
	}
	b, err := c.startable(held)
	if err != nil {
		return nil, err
	}
	n, err := c.notifier(o)
	if err != nil {
		return nil, err
	}
	if n != nil {
		o.MayAttend = nil // somebody has to listen to the container
		defer func() {
			if err != nil {
				n.close()
			}
		}()
	}
	pre, err := c.begin()
	if err != nil {
		if err := c.mayStart(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("cannot reach init: %w", err)
	}
	defer pre.close()
	if h := b.Spec.Hooks; o.BeforeHooks != nil && h != nil && len(h.StartContainer)+len(h.Poststart) > 0 {
		o.BeforeHooks()
	}
	if err := c.startHooks(ctx, b); err != nil {
		c.stop(ctx)
		return nil, err
	}
	if err := c.release(pre, b, o); err != nil {
		return nil, err
	}
	if err := c.loaded(b); err != nil {
		return nil, err
	}
	if err := c.poststart(ctx, b); err != nil || n != nil {
		return n, err
	}
	c.attend(o)
	return nil, nil
}

// startable returns the bundle, if the container can be started. One that was locked since it
// was made is as it was made.
func (c *Container) startable(held bool) (*spec.Bundle, error) {
	if !held {
		if err := c.trust(); err != nil {
			return nil, err
		}
		if err := c.mayStart(); err != nil {
			return nil, err
		}
	}
	b, err := c.bundle()
	if err != nil {
		return nil, err
	}
	if b.Spec.Process != nil && b.Spec.Process.NoNewPrivileges { // or create has loaded the filter
		err = checkAgent(b)
	}
	return b, err
}

func (c *Container) mayStart() error {
	status, err := c.Status()
	if err != nil {
		return err
	}
	text := ""
	switch status {
	case Created:
		return nil
	case Stopped:
		text = "cannot start a container that has stopped"
	case Paused:
		text = "cannot start a container in the paused state"
	case Running:
		if c.ending() {
			return stateError(c.rec.ID, "start", Stopped, "cannot start a container that has stopped")
		}
		text = "cannot start an already running container"
	default:
		text = "cannot start a container that is " + string(status)
	}
	return stateError(c.rec.ID, "start", status, "%s", text)
}

// ending waits a moment for the end of a process that does not wait for start any more: one
// that was killed closes its socket before it is seen to be dead.
func (c *Container) ending() bool {
	pidfd, err := c.process().Open()
	if err != nil {
		return true
	}
	defer unix.Close(pidfd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 20)
	return err == nil && n > 0
}

// release sends init the byte it waits for.
func (c *Container) release(pre *prelude, b *spec.Bundle, o StartOptions) error {
	if pre.root == nil {
		pre.root = c.openRoot() // init may be gone when it is needed
	}
	goes := c.attendStart(o, pre.conn, pre.root)
	err := c.tell(pre.conn)
	goes(err == nil)
	if err != nil {
		if why := c.mayStart(); why != nil {
			return why
		}
		return err
	}
	return c.released(pre.conn, b, pre.root)
}

// tell tells init to start.
func (c *Container) tell(conn int) error {
	if err := unix.Send(conn, []byte{1}, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("cannot speak to init: %w", err)
	}
	if c.self != nil {
		return c.self.init.Release()
	}
	return nil
}

// released waits until init has become the container's program. The connection is closed by
// execve, or brings the failure of a call.
func (c *Container) released(conn int, b *spec.Bundle, root *os.File) error {
	withdrawn, err := c.taken(conn)
	if err != nil {
		return err
	}
	for {
		r, more, err := c.hear(conn, b)
		if err != nil {
			return err
		}
		if !more && withdrawn && c.waiting() {
			return c.notTaken()
		}
		if !more {
			return c.killedByFilter(b)
		}
		if r.Errno != 0 {
			return c.startFault(r, b, root)
		}
	}
}

// hear reads a record of init's: a failure, or one without an errno, which brings the
// listener of its seccomp filter. At the end of the conversation more is false.
func (c *Container) hear(conn int, b *spec.Bundle) (r entry.Record, more bool, err error) {
	msg, files, err := linux.Receive(conn, entry.RecordSize, 1)
	defer closeAll(files)
	if err != nil {
		return r, false, fmt.Errorf("cannot hear init: %w", err)
	}
	if len(msg) == 0 {
		return r, false, nil
	}
	r, ok := entry.ParseRecord(msg)
	if !ok {
		return r, false, fmt.Errorf("bug in ocirt: init sent %d bytes", len(msg))
	}
	if r.Errno == 0 {
		err = c.receiveListener(conn, files, b)
	}
	return r, true, err
}

// poststart runs the poststart hooks. If one fails the container is stopped (runtime-spec,
// runtime, lifecycle 9).
func (c *Container) poststart(ctx context.Context, b *spec.Bundle) error {
	if b.Spec.Hooks == nil || len(b.Spec.Hooks.Poststart) == 0 {
		return nil
	}
	err := hooks.RunAll(ctx, "poststart", b.Spec.Hooks.Poststart, c.hookState(specs.StateRunning, b), hooks.Options{Dir: c.rec.Bundle})
	if err != nil {
		c.stop(ctx)
	}
	return err
}

func (c *Container) hookState(status specs.ContainerState, b *spec.Bundle) *specs.State {
	s := &specs.State{Version: specs.Version, ID: c.rec.ID, Status: status, Bundle: c.rec.Bundle, Annotations: b.Spec.Annotations}
	if status != specs.StateStopped {
		s.Pid = c.rec.Pid
	}
	return s
}

// stop kills the container and waits for its end, as far as that is possible, and although
// ctx may be done.
func (c *Container) stop(ctx context.Context) {
	if err := c.killAll(context.WithoutCancel(ctx)); err != nil {
		c.rt.warnf("%v", err)
	}
}

// poststop runs the poststop hooks; all of them, and failures are only warnings
// (runtime-spec, runtime, lifecycle 13).
func poststop(ctx context.Context, b *spec.Bundle, id string, due bool) error {
	if !due || b == nil || b.Spec.Hooks == nil || len(b.Spec.Hooks.Poststop) == 0 {
		return nil
	}
	state := &specs.State{Version: specs.Version, ID: id, Status: specs.StateStopped, Bundle: b.Dir, Annotations: b.Spec.Annotations}
	return hooks.RunAllBestEffort(ctx, "poststop", b.Spec.Hooks.Poststop, state, hooks.Options{Dir: b.Dir})
}
