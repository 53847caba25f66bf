package cgroup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds how long Kill and Remove wait for processes to go. A process in an
// uninterruptible wait cannot be killed at all.
const patience = 10 * time.Second

// A StillAliveError says which processes outlived every attempt to kill them.
type StillAliveError struct{ Pids []int }

func (e *StillAliveError) Error() string {
	const most = 20
	var b strings.Builder
	fmt.Fprintf(&b, "%d process(es) of the cgroup do not die:", len(e.Pids))
	for i, pid := range e.Pids {
		if i == most {
			b.WriteString(" ...")
			break
		}
		fmt.Fprintf(&b, " %d", pid)
	}
	return b.String()
}

// Kill ends every process of the container, in groups that it made for itself too, and
// returns when none is left, at the latest after ten seconds or when ctx is done; then the
// error is a [StillAliveError]. It thaws the group, because a frozen process of v1 does
// not die. Without a group it does nothing.
//
// With a v2 group the kernel kills all at once (cgroup.kill, Linux 5.14). Otherwise, in
// rounds until none is left: freeze, so that nothing forks, SIGKILL to each, thaw.
func (g *Group) Kill(ctx context.Context) error {
	if len(g.Paths) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if dir, ok := g.Paths[""]; ok {
		killed, err := killTree(dir)
		if err != nil {
			return err
		}
		if killed {
			_ = g.Thaw() // of v1, on a hybrid host
			waitEvents(ctx, dir, 50*time.Millisecond)
		}
	}
	for pause := 200 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		pids, err := g.allPids()
		if err != nil || len(pids) == 0 {
			return err
		}
		if err := g.killRound(ctx); err != nil {
			return err
		}
		if sleep(ctx, pause) != nil {
			if pids, err = g.allPids(); err != nil || len(pids) == 0 {
				return err
			}
			return &StillAliveError{pids}
		}
	}
}

// killTree uses cgroup.kill, and tells whether there is such a thing: a kernel before 5.14
// has no such file, and a threaded group refuses.
func killTree(dir string) (bool, error) {
	fd, err := openGroup(dir)
	if err != nil {
		if gone(err) {
			return false, nil
		}
		return false, pathError("kill cgroup", dir, err)
	}
	defer unix.Close(fd)
	return writeAt(fd, "cgroup.kill", "1") == nil, nil
}

// waitEvents waits on v2 until no process is left in the tree at dir, by the kernel's
// notice and not by looking again and again. It gives up after limit.
func waitEvents(ctx context.Context, dir string, limit time.Duration) {
	fd, err := openAt(unix.AT_FDCWD, dir+"/cgroup.events", unix.O_RDONLY)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	buf := make([]byte, 256)
	for end := time.Now().Add(limit); ctx.Err() == nil; {
		n, err := unix.Pread(fd, buf, 0)
		if err != nil && err != unix.EINTR {
			return
		}
		if value, ok := field(string(buf[:max(n, 0)]), "populated"); ok && value == "0" {
			return
		}
		left := time.Until(end)
		if left <= 0 {
			return
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
		_, _ = unix.Poll(fds, int(min(left, 10*time.Millisecond)/time.Millisecond)+1)
	}
}

// killRound freezes the group as well as it can, kills all that is in it, and thaws it in
// any case. A group that does not freeze in time is killed nevertheless: a process with a
// pending SIGKILL cannot fork, and one that is forked in a freezing group starts frozen.
func (g *Group) killRound(ctx context.Context) error {
	if err := g.check(); err != nil {
		return err
	}
	defer g.thawAll()
	g.forbidForks()
	if name, dir, err := g.freezer(); err == nil {
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		_ = freeze(short, name, dir)
		cancel()
	}
	if err := signalEach(g.Pids, unix.SIGKILL); err != nil {
		return err
	}
	return signalEach(g.allPids, unix.SIGKILL) // and what has left that one hierarchy
}

// forbidForks keeps a v1 group from growing while it is killed; on v2 the freezer does
// that reliably. The limit needs no undoing: the container is at its end.
func (g *Group) forbidForks() {
	if dir, v2, ok := g.Dir("pids"); ok && !v2 {
		if fd, err := openGroup(dir); err == nil {
			_ = writeAt(fd, "pids.max", "0")
			unix.Close(fd)
		}
	}
}

// Signal sends a signal to each process of the container, in groups that it made for
// itself too. Processes that are forked meanwhile may be missed; for SIGKILL use
// [Group.Kill]. A frozen process of v1 gets the signal when it is thawed.
func (g *Group) Signal(sig unix.Signal) error {
	if err := g.check(); err != nil {
		return err
	}
	return signalEach(g.Pids, sig)
}

// signalEach signals the processes of a list that can be made again, sorted.
func signalEach(list func() ([]int, error), sig unix.Signal) error {
	pids, err := list()
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(pids, signalBatch) {
		if err := signal(batch, list, sig); err != nil {
			return err
		}
	}
	return nil
}

// signalBatch is how many processes are held by a descriptor at a time.
const signalBatch = 256

// signal holds on to the processes by pidfd first and then looks again whether they are
// still in the group: only then does the pidfd belong to the process that was listed, and
// not to a stranger that got its number.
func signal(pids []int, list func() ([]int, error), sig unix.Signal) error {
	held := make([]int, 0, len(pids))
	defer func() {
		for _, fd := range held {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
	}()
	for _, pid := range pids {
		if pid == 0 {
			return fmt.Errorf("cannot signal a process of the cgroup: it is in a pid namespace that is not visible from here")
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil && err != unix.ESRCH {
			return fmt.Errorf("cannot open process %d: %w", pid, err)
		}
		held = append(held, fd)
	}
	still, err := list()
	if err != nil {
		return err
	}
	for i, fd := range held {
		if _, ok := slices.BinarySearch(still, pids[i]); !ok || fd < 0 {
			continue
		}
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && err != unix.ESRCH {
			return fmt.Errorf("cannot signal process %d: %w", pids[i], err)
		}
	}
	return nil
}

// check makes sure that every path is a group of a container and not, because a record
// was damaged, the top of a hierarchy.
func (g *Group) check() error {
	for _, name := range names(g.Paths) {
		fd, err := openGroup(g.Paths[name])
		if err == nil {
			unix.Close(fd)
		} else if !gone(err) {
			return pathError("signal the processes of", g.Paths[name], err)
		}
	}
	return nil
}
