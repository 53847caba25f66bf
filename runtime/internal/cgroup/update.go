package cgroup

import (
	"errors"
	"fmt"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Update changes the limits of a container: change is what is asked for, and old is what has
// been asked for so far, as the caller has kept it ([Merge] of config.json and all updates).
// Only what change names, or what follows from it, is written. The device rules are replaced
// as a whole if change has any.
//
// Either all of it is done or nothing: what can be known to fail does so before anything is
// written, and if the kernel refuses something, what was written is taken back. The error is
// a [LimitError], which names the property.
//
// The caller then stores Merge(old, change); if it cannot, undo takes the update back. Undo
// may be called once or never.
func (g *Group) Update(old, change *specs.LinuxResources) (undo func() error, err error) {
	if change == nil {
		change = new(specs.LinuxResources)
	}
	todo, err := g.changes(old, change)
	if err != nil {
		return nil, err
	}
	devices, err := g.changeDevices(old, change)
	if err != nil {
		return nil, err
	}
	var done []former
	untell, err := g.changeUnit(old, change)
	if err != nil {
		return nil, err
	}
	undo = func() error { return errors.Join(devices.undo(), restore(done), untell()) }
	err = writeInOrder(todo, func(p place) error {
		f := p.remember()
		if f.known && f.value == p.value {
			return nil
		}
		also := p.alsoChanges()
		if err := g.force(p); err != nil {
			return g.refused(p, err)
		}
		done = append(append(done, also...), f)
		return nil
	})
	if err == nil {
		err = devices.apply()
	}
	if err == nil {
		return undo, nil
	}
	if worse := undo(); worse != nil {
		err = fmt.Errorf("%w; it cannot be taken back as a whole: %w", err, worse)
	}
	return nil, err
}

// changes returns what an update has to write: what it names, and what has another value
// because of that, such as the limit of swap when the limit of memory moves.
func (g *Group) changes(old, change *specs.LinuxResources) ([]place, error) {
	merged := Merge(old, change)
	after := g.settings(merged)
	if after.err != nil {
		return nil, after.err
	}
	before := byID(g.settings(Merge(old, nil)))
	named := byID(g.settings(change))
	if change.Memory != nil && is(change.Memory.Swap) {
		s := setting{from: "memory.swap", file: "memory.swap.max"}
		named[s.id()] = s
	}
	var todo []place
	for _, s := range after.settings {
		asked, is := named[s.id()]
		if was, ok := before[s.id()]; !is && ok && was.value == s.value && (g.Unit == nil || !overwrites(g.inPlace([]setting{s}))) {
			continue
		}
		if is {
			s.from = asked.from // lists are counted as in the update
		}
		if len(g.Paths) == 0 {
			return nil, &LimitError{s.from, errNoOwnGroup}
		}
		p, there, err := g.place(s)
		if err != nil {
			return nil, g.withOthers(after.settings, err)
		}
		if there && (g.Unit == nil || s.file != oomGroup) { // that one is written when systemd has been told
			todo = append(todo, p)
		}
	}
	return todo, g.checkUsage(merged, change)
}

func byID(l list) map[string]setting {
	m := make(map[string]setting, len(l.settings))
	for _, s := range l.settings {
		m[s.id()] = s
	}
	return m
}

// A former is what a file held before it was written.
type former struct {
	place
	value string // as it has to be written to get it back
	known bool   // a file that can only be written has none
}

// remember reads what a setting is about to replace.
func (p place) remember() former {
	f := former{place: p}
	if text, err := readIn(p.dir, p.file); err == nil {
		f.value, f.known = p.present(text)
	}
	return f
}

// alsoChanges remembers what the kernel changes by itself: it takes the weight of a group that
// is idle, and one that is not idle any more gets the default.
func (p place) alsoChanges() []former {
	if p.file != "cpu.idle" {
		return nil
	}
	weight := place{setting{from: p.from, file: "cpu.weight"}, p.dir}
	if !exists(p.dir + "/cpu.weight") {
		weight.file = "cpu.shares"
	}
	return []former{weight.remember()}
}

// restore takes back what was written, last first. What the kernel refuses to take counts
// only if it is not there in the end: an idle group's weight, for example, goes and comes
// with its being idle.
func restore(done []former) error {
	todo := slices.DeleteFunc(slices.Clone(done), func(f former) bool { return !f.known })
	slices.Reverse(todo)
	failures := make(map[string]error)
	_ = writeInOrder(todo, func(f former) error {
		err := f.set(f.value)
		failures[f.id()] = err
		if errors.Is(err, errContradiction) {
			return err
		}
		return nil
	})
	var worse []error
	for _, f := range todo {
		if err := failures[f.id()]; err != nil && f.remember().value != f.value {
			worse = append(worse, &LimitError{f.from, pathError("put "+f.value+" back into", f.dir+"/"+f.file, err)})
		}
	}
	return errors.Join(worse...)
}
