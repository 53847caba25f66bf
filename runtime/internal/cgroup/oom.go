package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// WatchOOM tells whenever the container has run out of memory: on v2 when the kernel has
// killed one of its processes for it, on v1 when memory is not to be had, just before a
// process is killed or, without the OOM killer, stopped. Several at once may be told as one.
// On v1 a group that the container made below its own, and that is at a limit of its own,
// is not told of.
//
// The channel is closed when ctx is done, or when the group is gone or, on v2, empty; what
// happened before that is told first. Without a memory group that is an error.
//
// Source: cgroup.event_control (Documentation/admin-guide/cgroup-v1/memory.rst, 9),
// memory.events (cgroup-v2.rst).
func (g *Group) WatchOOM(ctx context.Context) (<-chan struct{}, error) {
	dir, v2, ok := g.Dir("memory")
	if !ok {
		return nil, errors.New("cannot watch for lack of memory: the container has no memory cgroup")
	}
	watch := watchV1
	if v2 {
		watch = watchV2
	}
	f, next, err := watch(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot watch cgroup %s for lack of memory: %w", dir, err)
	}
	out := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { f.Close() })
	go func() {
		defer close(out)
		defer f.Close()
		defer stop()
		for ctx.Err() == nil {
			happened, more := next()
			if happened {
				select {
				case out <- struct{}{}:
				default: // one is waiting to be heard of already
				}
			}
			if !more {
				return
			}
		}
	}()
	return out, nil
}

// watchV1 asks for a count in an eventfd. The kernel counts too when the group is removed.
func watchV1(dir string) (*os.File, func() (happened, more bool), error) {
	control, err := openAt(unix.AT_FDCWD, dir+"/memory.oom_control", unix.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(control)
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, nil, err
	}
	f := newFile(fd, "eventfd")
	if err := writeIn(dir, "cgroup.event_control", strconv.Itoa(fd)+" "+strconv.Itoa(control)); err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, func() (bool, bool) {
		var count [8]byte
		if _, err := f.Read(count[:]); err != nil {
			return false, false
		}
		there := exists(dir)
		return there, there
	}, nil
}

// watchV2 asks to be told of changes of the counters.
func watchV2(dir string) (*os.File, func() (happened, more bool), error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, nil, err
	}
	f := newFile(fd, "inotify")
	for _, file := range [...]string{"memory.events", "cgroup.events"} {
		if _, err := unix.InotifyAddWatch(fd, dir+"/"+file, unix.IN_MODIFY); err != nil {
			f.Close()
			return nil, nil, pathError("watch", file, err)
		}
	}
	kills := func() (string, error) {
		text, err := readIn(dir, "memory.events")
		n, _ := field(text, "oom_kill")
		return n, err
	}
	before, err := kills()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, func() (happened, more bool) {
		var events [4096]byte
		if _, err := f.Read(events[:]); err != nil {
			return false, false
		}
		state, err := readIn(dir, "cgroup.events")
		populated, _ := field(state, "populated")
		now, err2 := kills()
		happened = err2 == nil && now != before
		before = now
		return happened, err == nil && err2 == nil && strings.TrimSpace(populated) != "0"
	}, nil
}
