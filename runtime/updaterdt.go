package runtime

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/rdt"
	"github.com/ocirt/ocirt/runtime/internal/store"
)

// updateRdt changes the schemata of the container's resource group, or makes it one, and
// notes that in rec, which is not saved yet. Undo takes it back.
func (c *Container) updateRdt(rec *store.Record, o UpdateOptions) (undo func() error, err error) {
	none := func() error { return nil }
	if o.L3CacheSchema == "" && o.MemBwSchema == "" {
		return none, nil
	}
	old, err := c.intelRdt()
	if err != nil {
		return nil, err
	}
	pids, err := c.joinable().Pids()
	if err != nil {
		return nil, err
	}
	if len(pids) == 0 {
		pids = []int{c.rec.Pid}
	}
	if err := c.intendGroup(rec, old, o); err != nil {
		return nil, err
	}
	change := rdt.Change{ID: rec.ID, Config: old, Pids: pids, L3Cache: o.L3CacheSchema, MemBandwidth: o.MemBwSchema}
	next, made, err := rdt.Update(change)
	if err != nil {
		return nil, err
	}
	if rec.IntelRdt, err = json.Marshal(next); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot record the resource group: %w", err), rdt.Remove(made))
	}
	return func() error {
		if len(made) > 0 {
			return rdt.Remove(made)
		}
		if old == nil {
			return nil
		}
		change.L3Cache, change.MemBandwidth = old.L3CacheSchema, old.MemBwSchema
		_, _, err := rdt.Update(change)
		return err
	}, nil
}

// intendGroup records the group that an update is about to make, so that delete removes it
// whoever is killed in between.
func (c *Container) intendGroup(rec *store.Record, old *specs.LinuxIntelRdt, o UpdateOptions) error {
	if old != nil || len(rec.Resctrl) > 0 {
		return nil
	}
	dirs, err := rdt.Intent(rec.ID, &specs.LinuxIntelRdt{L3CacheSchema: o.L3CacheSchema, MemBwSchema: o.MemBwSchema})
	if err != nil || len(dirs) == 0 {
		return nil //nolint:nilerr // Update says it in better words
	}
	rec.Resctrl = dirs
	intent := *c.rec
	intent.Resctrl = dirs
	return c.dir.Save(&intent)
}

// intelRdt is the container's place among the resource groups; nil: it has none.
func (c *Container) intelRdt() (*specs.LinuxIntelRdt, error) {
	b, err := c.bundle()
	if err != nil || b.Spec.Linux == nil {
		return nil, err
	}
	return b.Spec.Linux.IntelRdt, nil
}
