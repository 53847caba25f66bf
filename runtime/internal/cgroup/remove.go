package cgroup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Remove removes the container's group in every hierarchy: all groups below it, which the
// container made, then the group itself and the groups above it, both only if Create made
// them, and the ones above only if nothing else uses them. What is gone already is fine,
// so it can be repeated.
//
// Processes that are left are killed. It waits up to ten seconds, or until ctx is done,
// for them to be gone, and then names them in a [StillAliveError].
func (g *Group) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if g.Unit != nil {
		if err := g.endUnit(ctx); err != nil {
			return err
		}
	}
	pending := names(g.Paths)
	var last time.Time // of the attempts that are made although ctx is done
	for pause := 500 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		busy, err := g.removeEach(pending)
		if err != nil {
			return err
		}
		if pending = busy; len(pending) == 0 {
			break
		}
		if err := g.Kill(ctx); err != nil {
			return fmt.Errorf("cannot remove cgroup %s: %w", g.Paths[pending[0]], err)
		}
		// Nothing is left in it, but the last process may still be on its way out: it is
		// counted until it has gone, and listed no more. That ends soon, by itself.
		if sleep(ctx, pause) == nil {
			continue
		}
		if last.IsZero() {
			last = time.Now().Add(exitTime)
		}
		if time.Now().After(last) {
			return pathError("remove cgroup", g.Paths[pending[0]], g.whyBusy())
		}
		time.Sleep(pause)
	}
	for _, dir := range slices.Backward(g.Made) {
		if g.isLeaf(dir) {
			continue
		}
		err := again(func() error { return unix.Rmdir(dir) })
		if err != nil && !gone(err) && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
			return pathError("remove cgroup", dir, err)
		}
	}
	return nil
}

// Plainly are the directories that Remove removes, in this order, if nothing is in the group
// any more and nothing below it. It returns none if there is more to it: a unit of systemd's,
// or a group that was there before the container.
func (g *Group) Plainly() (dirs []string, ok bool) {
	if g.Unit != nil {
		return nil, false
	}
	for _, name := range names(g.Paths) {
		dir := g.Paths[name]
		if !slices.Contains(g.Made, dir) {
			return nil, false
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range slices.Backward(g.Made) {
		if !g.isLeaf(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, true
}

// exitTime bounds how long processes that have been killed are waited for by a caller who
// has no more patience.
const exitTime = 500 * time.Millisecond

// isLeaf tells whether dir is the container's own group in some hierarchy, not one above.
func (g *Group) isLeaf(dir string) bool {
	for _, leaf := range g.Paths {
		if leaf == dir {
			return true
		}
	}
	return false
}

func (g *Group) whyBusy() error {
	if pids, err := g.allPids(); err == nil && len(pids) > 0 {
		return &StillAliveError{pids}
	}
	return unix.EBUSY
}

// removeEach removes the group from the named hierarchies and returns those it is still
// busy in.
func (g *Group) removeEach(hierarchies []string) (busy []string, err error) {
	for _, name := range hierarchies {
		err := g.removeFrom(g.Paths[name])
		switch {
		case errors.Is(err, unix.EBUSY):
			busy = append(busy, name)
		case err != nil && !gone(err):
			return nil, pathError("remove cgroup", g.Paths[name], err)
		}
	}
	return busy, nil
}

// removeFrom removes one directory and what is below it. Most often there is nothing
// below, and one call does.
func (g *Group) removeFrom(dir string) error {
	made := slices.Contains(g.Made, dir)
	if made {
		err := again(func() error { return unix.Rmdir(dir) })
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	fd, err := openGroup(dir)
	if err != nil {
		return err
	}
	busy, err := removeBelow(fd)
	unix.Close(fd)
	switch {
	case err != nil:
		return err
	case busy:
		return unix.EBUSY
	case !made:
		return nil
	}
	return again(func() error { return unix.Rmdir(dir) })
}

// removeBelow removes the groups below top, innermost first, and tells whether some of
// them are busy. It starts anew as long as that gets it further, because one walk reaches
// only so deep before it has to leave groups standing that have others in them.
func removeBelow(top int) (busy bool, err error) {
	for {
		busy, progress := false, false
		w := walker{leave: func(parent int, name string) error {
			err := again(func() error { return unix.Unlinkat(parent, name, unix.AT_REMOVEDIR) })
			switch {
			case err == nil:
				progress = true
			case errors.Is(err, unix.EBUSY):
				busy, err = true, nil
			}
			return err
		}}
		if err := w.run(top); err != nil || !busy || !progress {
			return busy, err
		}
	}
}

// OOMKills returns how many of the container's processes the kernel has killed for want of
// memory, to explain a death. It is 0 without a memory group.
//
// Source: oom_kill in memory.events (v2, groups below included) or memory.oom_control (v1,
// where each group counts only its own).
func (g *Group) OOMKills() (uint64, error) {
	dir, v2, ok := g.Dir("memory")
	if !ok {
		return 0, nil
	}
	fd, err := openDir(dir)
	if err != nil {
		if gone(err) {
			return 0, nil
		}
		return 0, pathError("open cgroup", dir, err)
	}
	defer unix.Close(fd)
	if v2 {
		return oomKillsAt(fd, "memory.events")
	}
	var sum uint64
	w := walker{enter: func(fd int) error {
		n, err := oomKillsAt(fd, "memory.oom_control")
		sum += n
		return err
	}}
	err = w.run(fd)
	return sum, err
}

func oomKillsAt(fd int, file string) (uint64, error) {
	text, err := readAt(fd, file)
	if err != nil {
		if gone(err) { // without the memory controller there is no such file
			return 0, nil
		}
		return 0, pathError("read", file, err)
	}
	value, ok := field(text, "oom_kill")
	if !ok {
		return 0, nil // Linux before 4.13
	}
	return strconv.ParseUint(value, 10, 64)
}
