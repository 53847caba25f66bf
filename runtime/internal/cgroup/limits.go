package cgroup

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The files are written here and not through github.com/opencontainers/cgroups: the
// initialisers of that module's managers cost every start of the program 0.2 to 0.4 ms, a
// fifth of a container, and what is left to do is a table.

// Set writes the limits and the device rules of a new container. Nothing is left out: a
// limit that this host cannot give is an error that names its property, see [LimitError].
// What was written before it stays: the group of a container that cannot be made is removed.
func (g *Group) Set(r *specs.LinuxResources) error {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	l := g.settings(r)
	if l.err != nil {
		return l.err
	}
	todo := l.settings
	if g.isNew() {
		todo = make([]setting, 0, len(l.settings))
		for _, s := range l.settings {
			if !s.fresh {
				todo = append(todo, s)
			}
		}
	}
	if len(todo) > 0 && len(g.Paths) == 0 {
		return &LimitError{todo[0].from, errNoOwnGroup}
	}
	g.settleUnit(todo)
	if err := g.tellUnit(l, r.Devices); err != nil {
		return err
	}
	if err := writeInOrder(todo, g.write); err != nil {
		return g.withOthers(todo, err)
	}
	return g.setDevices(r.Devices)
}

var errNoOwnGroup = errors.New("cannot be set: the container has no cgroup of its own")

// isNew tells whether the container's group was made for it in every hierarchy.
// Systemd gives a group some limits of its own.
func (g *Group) isNew() bool { return g.Unit == nil && len(g.Made) >= len(g.Paths) }

// checkUsage carries out memory.checkBeforeUpdate, which is about v2, where a limit below
// what is used kills. r is what will hold, change what is asked for.
func (g *Group) checkUsage(r, change *specs.LinuxResources) error {
	m := r.Memory
	if m == nil || m.CheckBeforeUpdate == nil || !*m.CheckBeforeUpdate || !g.pureV2() || change.Memory == nil {
		return nil
	}
	if !is(change.Memory.Limit) && !is(change.Memory.Swap) {
		return nil
	}
	used, err := readNumber(g.Paths[""], "memory.current")
	if err != nil {
		return &LimitError{"memory.checkBeforeUpdate", pathError("read memory.current of", g.Paths[""], err)}
	}
	if m.Swap != nil && *m.Swap > 0 {
		swapped, err := readNumber(g.Paths[""], "memory.swap.current")
		if err == nil && *m.Swap <= used+swapped {
			return &LimitError{"memory.swap", fmt.Errorf("rejecting memory+swap limit %d <= usage %d", *m.Swap, used+swapped)}
		}
	}
	if m.Limit != nil && *m.Limit > 0 && *m.Limit <= used {
		return &LimitError{"memory.limit", fmt.Errorf("rejecting memory limit %d <= usage %d", *m.Limit, used)}
	}
	return nil
}
