package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/cgroup"
	"github.com/ocirt/ocirt/spec"
)

// An UpdateOptions is what Update may change beside linux.resources.
type UpdateOptions struct {
	L3CacheSchema string // of linux.intelRdt, a line of resctrl's schemata; empty: unchanged
	MemBwSchema   string
}

// Update changes the limits of a container that has not stopped: those that r names. All
// others stay as they are, whether config.json or an earlier Update has set them. A list of
// device rules replaces the one before. Of two updates at once one wins whole, then the
// other, on top of it.
//
// If something cannot be done then nothing is, and the error names the property. Errors of
// r itself are spec.Problems.
func (c *Container) Update(ctx context.Context, r *specs.LinuxResources) error {
	return c.UpdateWith(ctx, r, UpdateOptions{})
}

// UpdateWith is Update, with options.
func (c *Container) UpdateWith(ctx context.Context, r *specs.LinuxResources, o UpdateOptions) error {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	problems := spec.CheckResources("resources", r)
	if err := problems.Err(); err != nil {
		return err
	}
	for _, w := range problems.Warnings() {
		c.rt.warnf("%s", w)
	}
	return c.changing(ctx, func(status Status) error {
		switch status {
		case Created, Running, Paused:
		default:
			return stateError(c.rec.ID, "update", status, "container not running")
		}
		return c.update(r, o)
	})
}

// update writes the limits, and then the record: whoever is killed in between has changed
// a limit that nobody remembers, which does no harm, because an update writes only what it
// changes.
func (c *Container) update(r *specs.LinuxResources, o UpdateOptions) (err error) {
	old, err := c.resources()
	if err != nil {
		return err
	}
	change := implied(old, r)
	merged := cgroup.Merge(old, change)
	// What is right by itself may contradict what there is: a sum of memory and swap that
	// is now below the limit for memory.
	if err := spec.CheckResources("resources", merged).Err(); err != nil {
		return fmt.Errorf("cannot update container %s, with the limits that it has: %w", c.rec.ID, err)
	}
	raw, err := json.Marshal(merged)
	if err != nil {
		return fmt.Errorf("cannot record the limits: %w", err)
	}
	undo, err := c.joinable().Update(old, change)
	if err != nil {
		return fmt.Errorf("cannot update container %s: %w", c.rec.ID, err)
	}
	defer func() {
		if err == nil {
			return
		}
		if undoErr := undo(); undoErr != nil {
			err = errors.Join(err, fmt.Errorf("cannot undo the update: %w", undoErr))
		}
	}()
	rec := *c.rec
	rec.Resources = raw
	undoRdt, err := c.updateRdt(&rec, o)
	if err != nil {
		return fmt.Errorf("cannot update container %s: %w", c.rec.ID, err)
	}
	if err := c.dir.Save(&rec); err != nil {
		return errors.Join(err, undoRdt())
	}
	c.rec = &rec
	return nil
}

// resources are the limits that hold: of the last update, or else of config.json.
func (c *Container) resources() (*specs.LinuxResources, error) {
	if len(c.rec.Resources) > 0 {
		r, problems := spec.ParseResources("state.json: resources", c.rec.Resources)
		return r, problems.Err()
	}
	b, err := c.bundle()
	if err != nil {
		return nil, err
	}
	if b.Spec.Linux == nil || b.Spec.Linux.Resources == nil {
		return &specs.LinuxResources{}, nil
	}
	return b.Spec.Linux.Resources, nil
}

// implied adds to a change what everybody means by it: an idle group has no weight, so that
// to give it one ends its idleness.
func implied(old, change *specs.LinuxResources) *specs.LinuxResources {
	if change.CPU == nil || old.CPU == nil || old.CPU.Idle == nil || *old.CPU.Idle != 1 {
		return change
	}
	if change.CPU.Idle != nil || change.CPU.Shares == nil || *change.CPU.Shares == 0 {
		return change
	}
	cpu, out := *change.CPU, *change
	cpu.Idle, out.CPU = new(int64), &cpu
	return &out
}
