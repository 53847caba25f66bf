package runtime

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// An Event is something that happened to a container, in the form of `events`.
type Event struct {
	Type string `json:"type"` // EventStats or EventOOM
	ID   string `json:"id"`
	Data *Stats `json:"data,omitempty"`
}

// The types of events.
const (
	EventStats = "stats" // a sample; Data holds it
	EventOOM   = "oom"   // the container ran out of memory
)

// Events calls report with a sample of the statistics every interval, which must be
// positive, and whenever the container runs out of memory. It returns when the container
// ends, when ctx is done, or with the error of report.
func (c *Container) Events(ctx context.Context, interval time.Duration, report func(Event) error) error {
	if interval <= 0 {
		return fmt.Errorf("cannot report events: the interval %v is not positive", interval)
	}
	if err := c.trust(); err != nil {
		return err
	}
	status, err := c.Status()
	if err != nil {
		return err
	}
	if status == Stopped || status == Creating {
		return notRunning(c.rec.ID, status)
	}
	w := &watch{c: c, report: report}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := w.begin(ctx); err != nil {
		return err
	}
	defer w.init.Close()
	return w.run(ctx, interval)
}

// A watch is an Events in progress.
type watch struct {
	c      *Container
	report func(Event) error

	init  *os.File      // a pidfd
	ended chan struct{} // closed at the end of init, or when init is closed

	oom   <-chan struct{}
	told  int    // events of oom so far
	kills uint64 // counted before the first
}

func (w *watch) begin(ctx context.Context) error {
	pidfd, err := w.c.process().Open()
	if err != nil {
		return notRunning(w.c.rec.ID, Stopped)
	}
	// One that does not block can be waited for without a thread of its own.
	_ = unix.SetNonblock(pidfd, true)
	w.init = os.NewFile(uintptr(pidfd), "pidfd")
	w.ended = make(chan struct{})
	go w.awaitEnd()
	group := w.c.joinable()
	w.kills, _ = group.OOMKills()
	if w.oom, err = group.WatchOOM(ctx); err != nil {
		// There are statistics nevertheless.
		w.c.rt.warnf("container %s: no notice when it runs out of memory: %v", w.c.rec.ID, err)
		w.oom = nil
	}
	return nil
}

func (w *watch) awaitEnd() {
	defer close(w.ended)
	conn, err := w.init.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

func (w *watch) run(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.ended:
			return w.last()
		case _, ok := <-w.oom:
			if !ok {
				w.oom = nil // no group any more, so the end is near
				continue
			}
			if err := w.ranOut(); err != nil {
				return err
			}
		case <-tick.C:
			s, err := w.c.stats()
			if err != nil {
				continue // the group goes before we hear of the end
			}
			if err := w.report(Event{Type: EventStats, ID: w.c.rec.ID, Data: s}); err != nil {
				return err
			}
		}
	}
}

func (w *watch) ranOut() error {
	w.told++
	return w.report(Event{Type: EventOOM, ID: w.c.rec.ID})
}

// lastNotice is how long the kernel may take to tell why the container has ended: notices
// of cgroup files are held back for 10 ms if they come too often.
const lastNotice = 100 * time.Millisecond

// last reports what ended the container if that was want of memory: the notice may come
// after the end, or get lost with the group.
func (w *watch) last() error {
	late := time.NewTimer(lastNotice)
	defer late.Stop()
	for w.oom != nil {
		select {
		case _, ok := <-w.oom:
			if !ok {
				w.oom = nil
				continue
			}
			if err := w.ranOut(); err != nil {
				return err
			}
		case <-late.C:
			w.oom = nil
		}
	}
	kills, err := w.c.joinable().OOMKills()
	if err == nil && kills > w.kills && w.told == 0 {
		return w.ranOut()
	}
	return nil
}
