package cgroup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// freezeTime bounds how long a group may take to freeze. A task in an uninterruptible
// wait, on a dead network file system for example, never does.
const freezeTime = 2 * time.Second

var errNoFreezer = errors.New("no freezer: the container has no cgroup of its own")

// freezer returns the group that is frozen: that of the v1 freezer if there is one, as
// monitoring tools of such hosts expect, or else the v2 group.
func (g *Group) freezer() (name, dir string, err error) {
	dir, v2, ok := g.Dir("freezer")
	switch {
	case !ok:
		return "", "", errNoFreezer
	case v2:
		return "", dir, nil
	}
	return "freezer", dir, nil
}

// hasStopped tells whether every process of one group stands still, where name is "" for
// v2. One that has just entered a frozen group does not, for a moment.
func hasStopped(name, dir string) (bool, error) {
	if name == "" {
		text, err := readIn(dir, "cgroup.events")
		value, _ := field(text, "frozen")
		return value == "1", err
	}
	text, err := readIn(dir, "freezer.state")
	return strings.TrimSpace(text) == "FROZEN", err
}

// isFrozen tells whether the processes of one group stand still or are about to, because
// the group, or one above it, was told so. What has just entered it changes nothing.
func isFrozen(name, dir string) (bool, error) {
	if name != "" {
		text, err := readIn(dir, "freezer.state")
		text = strings.TrimSpace(text)
		return text == "FROZEN" || text == "FREEZING", err
	}
	frozen, err := hasStopped(name, dir)
	if frozen || err != nil {
		return frozen, err
	}
	text, err := readIn(dir, "cgroup.freeze")
	if errors.Is(err, unix.ENOENT) {
		return false, nil // the top of a hierarchy has none
	}
	return strings.TrimSpace(text) == "1", err
}

// setFrozen asks for a state; the kernel gets there later.
func setFrozen(name, dir string, frozen bool) error {
	file, value := "cgroup.freeze", "0"
	switch {
	case name == "" && frozen:
		value = "1"
	case name != "" && frozen:
		file, value = "freezer.state", "FROZEN"
	case name != "":
		file, value = "freezer.state", "THAWED"
	}
	return writeIn(dir, file, value)
}

// Freeze stops every process of the container and returns when all have stopped. If they
// do not within two seconds or before ctx is done, the group is thawed again. Without a
// group, or without a freezer, that is an error.
func (g *Group) Freeze(ctx context.Context) error {
	name, dir, err := g.freezer()
	if err != nil {
		return fmt.Errorf("cannot freeze: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, freezeTime)
	defer cancel()
	if err := freeze(ctx, name, dir); err != nil {
		_ = setFrozen(name, dir, false)
		return pathError("freeze cgroup", dir, err)
	}
	return nil
}

// freeze asks for the state until it is there. On v1 the request is repeated: a process
// that was forked while the group froze can escape it.
func freeze(ctx context.Context, name, dir string) error {
	pause := 10 * time.Microsecond
	for try := 1; ; try++ {
		if name != "" && try%32 == 0 {
			// It hangs in FREEZING: one process waits for another that stands still already.
			if err := setFrozen(name, dir, false); err != nil {
				return err
			}
		}
		if err := setFrozen(name, dir, true); err != nil {
			return err
		}
		stopped, err := hasStopped(name, dir)
		if err != nil || stopped {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return errors.New("some of its processes do not stop")
		}
		pause = min(2*pause, 5*time.Millisecond)
	}
}

// Thaw lets the container's processes run again. A group that was not frozen or is gone
// is no error.
func (g *Group) Thaw() error {
	name, dir, err := g.freezer()
	if err != nil {
		return nil
	}
	if err := setFrozen(name, dir, false); err != nil && !gone(err) {
		return pathError("thaw cgroup", dir, err)
	}
	return nil
}

// thawAll thaws the group and every group below it, in both trees of a hybrid host. On v1
// a frozen process does not even die, and a container may have frozen some of its own.
func (g *Group) thawAll() {
	for name, dir := range g.Paths {
		file, value := "cgroup.freeze", "0"
		if name != "" {
			file, value = "freezer.state", "THAWED"
			if !hasController(name, "freezer") {
				continue
			}
		}
		fd, err := openGroup(dir)
		if err != nil {
			continue
		}
		w := walker{enter: func(fd int) error {
			_ = writeAt(fd, file, value)
			return nil
		}}
		_ = w.run(fd)
		unix.Close(fd)
	}
}

// Frozen tells whether the container's processes are stopped by the freezer, or are about
// to be. A group that is gone, or has no freezer, is not frozen.
func (g *Group) Frozen() (bool, error) {
	name, dir, err := g.freezer()
	if err != nil {
		return false, nil
	}
	frozen, err := isFrozen(name, dir)
	if err != nil && !gone(err) {
		return false, pathError("read the freezer state of", dir, err)
	}
	return frozen, nil
}

// sleep waits for d or until ctx is done, and then returns its error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
