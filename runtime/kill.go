package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/store"
)

// KillOptions are the choices of Kill.
type KillOptions struct {
	// All signals every process of the container's cgroup, and is content if there is
	// none.
	All bool
}

// Kill signals the container's first process. SIGKILL ends the whole container also if it
// has no pid namespace of its own.
func (c *Container) Kill(ctx context.Context, sig unix.Signal, o KillOptions) error {
	if err := c.trust(); err != nil {
		return err
	}
	status, err := c.Status()
	if err != nil {
		return err
	}
	if o.All {
		return c.signalAll(ctx, sig)
	}
	if status == Stopped || status == Creating {
		return stateError(c.rec.ID, "kill", status, "container not running")
	}
	if sig == unix.SIGKILL && !c.rec.PidNamespace {
		return c.killAll(ctx)
	}
	err = c.signalInit(sig)
	if errors.Is(err, unix.ESRCH) {
		return stateError(c.rec.ID, "kill", Stopped, "container not running")
	}
	if err == nil && sig == unix.SIGKILL && (status == Paused || c.frozen()) {
		err = c.group().Thaw() // on cgroup v1 a frozen process does not die
	}
	return err
}

// frozen asks again: somebody may have paused it meanwhile.
func (c *Container) frozen() bool {
	frozen, err := c.group().Frozen()
	return err == nil && frozen
}

func (c *Container) signalInit(sig unix.Signal) error {
	pidfd, err := c.process().Open()
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	if err := unix.PidfdSendSignal(pidfd, sig, nil, 0); err != nil {
		return fmt.Errorf("cannot signal init: %w", err)
	}
	return nil
}

func (c *Container) signalAll(ctx context.Context, sig unix.Signal) error {
	if sig == unix.SIGKILL {
		return c.killAll(ctx)
	}
	if c.inGroup() {
		return c.group().Signal(sig)
	}
	if err := c.signalInit(sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return c.signalNamespace(sig)
}

// inGroup reports whether the container has cgroups of its own: an ordinary user may not
// have got any.
func (c *Container) inGroup() bool { return len(c.joinable().Paths) > 0 }

// killTimeout bounds the wait for the end of a killed process: one that does not end by
// then hangs in the kernel.
const killTimeout = 10 * time.Second

// killFrozen is how long the end of a killed container usually takes at most, so that after
// it something must be in the way.
const killFrozen = 500 * time.Millisecond

// killAll kills init and everything else in the container's cgroup, and waits until all
// have ended.
func (c *Container) killAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	pidfd, err := c.process().Open()
	if err == nil {
		defer unix.Close(pidfd)
		if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
			return fmt.Errorf("cannot kill init: %w", err)
		}
		if c.frozen() {
			_ = c.group().Thaw()
		}
	}
	if c.inGroup() && (!c.rec.PidNamespace || err != nil) {
		if err := c.group().Kill(ctx); err != nil {
			return err
		}
	}
	if err != nil {
		return nil // there is no init
	}
	if c.rec.PidNamespace && c.inGroup() {
		// The kernel kills what is in the namespace before init ends. What the container has
		// frozen itself, in groups that it made on cgroup v1, does not die of that.
		soon, cancel := context.WithTimeout(ctx, killFrozen)
		defer cancel()
		if c.awaitEnd(soon, pidfd) == nil {
			return nil
		}
		if err := c.group().Kill(ctx); err != nil {
			return err
		}
		if c.rec.Phase == store.PhaseCreating {
			// Nothing of it runs any more. The end of init waits until somebody has reaped the
			// hooks in its namespace whose parent, the creator, was killed.
			return nil
		}
	}
	return c.awaitEnd(ctx, pidfd)
}

// awaitEnd waits until the process of a pidfd has ended.
func (c *Container) awaitEnd(ctx context.Context, pidfd int) error {
	for {
		wait := 100 * time.Millisecond
		if d, ok := ctx.Deadline(); ok {
			wait = max(0, time.Until(d))
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(wait.Milliseconds()))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("cannot wait for init: %w", err)
		case n > 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("cannot stop container %s: init (pid %d) has not ended after SIGKILL: %w", c.rec.ID, c.rec.Pid, ctx.Err())
		}
	}
}
