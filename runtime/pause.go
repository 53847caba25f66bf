package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pause stops every process of the container, also one that is only created, until Resume.
// If they do not all stop within two seconds they run on, and that is an error. The status
// is then Paused.
//
// Source: the freezer of the container's cgroup (cgroup-v1/freezer-subsystem, cgroup-v2).
func (c *Container) Pause(ctx context.Context) error {
	return c.changing(ctx, func(status Status) error {
		if status != Created && status != Running {
			return stateError(c.rec.ID, "pause", status, "container not running")
		}
		group := c.joinable()
		if len(group.Paths) == 0 {
			return fmt.Errorf("cannot pause container %s: %w", c.rec.ID, errNoGroup)
		}
		if err := group.Freeze(ctx); err != nil {
			return fmt.Errorf("cannot pause container %s: %w", c.rec.ID, err)
		}
		return nil
	})
}

// errNoGroup is why there is nothing to be done about the container as a whole: an ordinary
// user got no cgroup.
var errNoGroup = errors.New("it has no cgroup of its own, because this user may not make any (delegate one, or run ocirt as root)")

// Resume lets the processes of a paused container go on.
func (c *Container) Resume(ctx context.Context) error {
	return c.changing(ctx, func(status Status) error {
		if status != Paused {
			return stateError(c.rec.ID, "resume", status, "container not paused")
		}
		return c.thaw(ctx)
	})
}

// thawTime bounds how long the kernel may take to report that a group goes on.
const thawTime = 2 * time.Second

// thaw resumes the group and makes sure that it goes on: one above it may be frozen too.
func (c *Container) thaw(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, thawTime)
	defer cancel()
	if err := c.group().Thaw(); err != nil {
		return fmt.Errorf("cannot resume container %s: %w", c.rec.ID, err)
	}
	for {
		frozen, err := c.group().Frozen()
		if err != nil {
			return fmt.Errorf("cannot resume container %s: %w", c.rec.ID, err)
		}
		if !frozen {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot resume container %s: a cgroup above its own is frozen", c.rec.ID)
		case <-time.After(time.Millisecond):
		}
	}
}

// changing calls change with the container's status while nobody else changes it. The
// record is read again: it may have changed while the lock was waited for.
func (c *Container) changing(ctx context.Context, change func(Status) error) error {
	if err := c.dir.Lock(ctx); err != nil {
		return err
	}
	defer c.dir.Unlock()
	if rec, err := c.dir.Load(); err == nil {
		c.rec = rec
	}
	if err := c.trust(); err != nil {
		return err
	}
	status, err := c.Status()
	if err != nil {
		return err
	}
	return change(status)
}
