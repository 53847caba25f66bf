package runtime

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/ocirt/ocirt/runtime/internal/rdt"
	"github.com/ocirt/ocirt/runtime/internal/store"
	"github.com/ocirt/ocirt/spec"
)

// Delete removes a container that has stopped, or was only created. Its resources go
// first, its record last, so that a Delete that was killed can be repeated. Then the
// poststop hooks run; their failures are warnings.
func (c *Container) Delete(ctx context.Context, force bool) error {
	if err := c.dir.Lock(ctx); err != nil {
		return err
	}
	if rec, err := c.dir.Load(); err == nil {
		c.rec = rec // it may have changed while we waited
	}
	if err := c.trust(); err != nil {
		return err
	}
	status, err := c.Status()
	if err != nil {
		return err
	}
	if !force && (status == Running || status == Paused) {
		return stateError(c.rec.ID, "delete", status, "cannot delete container %s that is not stopped: %s", c.rec.ID, status)
	}
	// The kernel has ended the processes of a pid namespace with its first one. What else
	// may be left in the cgroup is met when that is removed.
	if status != Stopped || !c.rec.PidNamespace {
		if err := c.killAll(ctx); err != nil {
			return err
		}
	}
	c.reap()
	b, bundleErr := c.intended()
	if err := c.group().Remove(ctx); err != nil {
		return err
	}
	if err := rdt.Remove(c.rec.Resctrl); err != nil {
		return err
	}
	if err := c.dir.Remove(); err != nil {
		return err
	}
	if bundleErr == nil {
		if err := poststop(ctx, b, c.rec.ID, true); err != nil {
			c.rt.warnf("%v", err)
		}
	}
	return nil
}

// ForceDelete removes whatever there is of a container, even if its record is damaged or
// was never written. That there is nothing is no error.
func (rt *Runtime) ForceDelete(ctx context.Context, id string) error {
	c, err := rt.Container(id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err == nil && c.rec.Bundle != "":
		defer c.Close()
		err = c.Delete(ctx, true)
		if errors.Is(err, ErrNotFound) {
			return nil // another delete was quicker
		}
		if !distrusted(err) {
			return err
		}
		c.dir.Unlock()
	case err == nil:
		c.Close()
	}
	return rt.discard(ctx, id, err)
}

// discard removes a container without a readable record: its intent record names the
// cgroups; failing that, they are looked for where a container of this id has them.
func (rt *Runtime) discard(ctx context.Context, id string, cause error) error {
	if err := spec.CheckID(id); err != nil {
		return err
	}
	root, err := rt.open(false)
	if err != nil {
		return err
	}
	defer root.Close()
	dir, err := root.Open(id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if errors.Is(err, store.ErrForeign) {
		return root.Discard(id)
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Lock(ctx); errors.Is(err, ErrNotFound) {
		return nil // another delete was quicker
	} else if err != nil {
		return err
	}
	if p, foreign := dir.Foreign(); foreign {
		return fmt.Errorf("cannot delete container %s: %s is another runtime's record, of process %d, which lives: that runtime has to delete it", id, filepath.Join(dir.Path(), "state.json"), p.Pid)
	}
	c := &Container{rt: rt, dir: dir}
	if c.rec, err = rt.salvage(dir, id); err != nil {
		return errors.Join(cause, err)
	}
	if err := c.killAll(ctx); err != nil {
		return err
	}
	if err := c.group().Kill(ctx); err != nil {
		return err
	}
	if err := c.group().Remove(ctx); err != nil {
		return err
	}
	if err := rdt.Remove(c.rec.Resctrl); err != nil {
		return err
	}
	return dir.Remove()
}
