package attend

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// A writer writes the program of a duty.
type writer struct {
	*Text
	duty *Duty
	over *entry.Place // where ocirt takes over
}

// Write returns the program. Its process must be started with all signals blocked.
func Write(d *Duty) *Text {
	p := &entry.Program{}
	w := &writer{Text: &Text{Program: p, marks: map[bool]entry.Addr{}, room: d.Again.Room}, duty: d}
	w.SetName("ocirt-wait")
	w.conn, w.root = w.Slot(-1), w.Slot(-1)
	if set := d.Processors; set != nil {
		w.Call(unix.SYS_SCHED_SETAFFINITY, 0, len(set), w.Bytes(set)).May().Label("run on all processors again")
	}
	// Or the process would have the name of a descriptor, by execveat.
	w.Call(unix.SYS_PRCTL, unix.PR_SET_NAME, w.String(d.Name)).May().Label("name the process")
	if d.Start {
		w.takeOver(true)
		w.start()
	}
	w.takeOver(false)
	w.Call(unix.SYS_FLOCK, d.Lock, unix.LOCK_UN).May().Label("unlock the container")
	w.caught()
	status := w.wait()
	if d.Removal != nil {
		w.remove(d.Removal)
	}
	w.must(w.Call(unix.SYS_WAITID, unix.P_PIDFD, d.Init, 0, unix.WEXITED).Label("reap init"))
	w.Call(unix.SYS_EXIT_GROUP, status)
	return w.Text
}

// must lets ocirt take over if the call fails, or returns anything but zero.
func (w *writer) must(c *entry.Call) {
	next := w.Place()
	c.May().OnZero(next)
	w.Go(w.over)
	next.Here()
}

// compare adds a call that returns zero if a word has this value, a number or a slot: a
// requeue of nobody, which does nothing else (futex(2), FUTEX_CMP_REQUEUE).
func (w *writer) compare(at entry.Addr, value any) *entry.Call {
	const private = 128 // to this process
	const requeue = 4
	return w.Call(unix.SYS_FUTEX, at, requeue|private, 0, 0, at, value).May().Label("compare")
}

// takeOver adds the calls with which ocirt goes on, and a way around them. From here on they
// are what follows a failure.
func (w *writer) takeOver(starting bool) {
	around, again := w.Place(), &w.duty.Again
	w.Go(around)
	w.over = w.Place()
	w.over.Here()
	if !starting {
		w.Call(unix.SYS_FLOCK, w.duty.Lock, unix.LOCK_UN).May()
	}
	for _, fd := range again.Drop {
		w.Call(unix.SYS_FCNTL, fd, unix.F_SETFD, unix.FD_CLOEXEC).May()
	}
	mark := w.Bytes(make([]byte, again.Room+1))
	w.marks[starting] = mark
	w.Call(unix.SYS_EXECVEAT, again.Program, w.String(""), w.Strings(again.Argv), w.Strings(again.Env, mark), unix.AT_EMPTY_PATH).
		May().Label("execute ocirt again")
	text := "ocirt: cannot go on waiting for the container: cannot execute ocirt again\n"
	w.Call(unix.SYS_WRITE, 2, w.String(text), len(text)).May()
	w.Exit(failed)
	around.Here()
}

// start waits until execve closes init's end of the connection. If init says something, or
// nothing for long, ocirt is there to hear it.
func (w *writer) start() {
	list, n := w.pollList(0)
	w.conn = entry.Slot(list) // which begins with the descriptor
	w.Call(unix.SYS_PPOLL, list, n, w.Words(patience, 0), 0).May().Label("wait for init to become the program").OnZero(w.over)
	peek := w.Bytes(make([]byte, 8))
	w.must(w.Call(unix.SYS_RECVFROM, w.conn, peek, 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0).Label("hear init"))
	for _, fd := range []entry.Slot{w.conn, w.root} {
		w.Call(unix.SYS_CLOSE, fd).May()
	}
}

// caught passes on the signals that came before.
func (w *writer) caught() {
	begin, pass, done := w.Place(), w.Place(), w.Place()
	signal, n := w.Slot(0), w.Slot(0)
	begin.Here()
	w.Call(unix.SYS_READ, w.duty.Caught, entry.Addr(signal), entry.SlotSize).May().KeepIn(n).Label("read a signal from the pipe")
	w.compare(entry.Addr(n), entry.SlotSize).OnZero(pass)
	w.Go(done)
	pass.Here()
	w.pass(signal)
	w.Nothing().KeepIn(n).OnZero(begin) // so that a read that fails is not taken for another
	done.Here()
}

// pass passes a signal on to the container. It may have ended.
func (w *writer) pass(signal entry.Slot) {
	w.Call(unix.SYS_PIDFD_SEND_SIGNAL, w.duty.Init, signal, 0, 0).May().Label("pass a signal on")
}

// wait passes signals on until the container has ended, and returns its exit status.
func (w *writer) wait() (status entry.Slot) {
	d := w.duty
	begin, lives, ended := w.Place(), w.Place(), w.Place()
	info := w.Bytes(make([]byte, infoSize))
	begin.Here()
	list, n := w.pollList(d.Init, d.Signals, d.Orphans)
	w.Call(unix.SYS_PPOLL, list, n, 0, 0).May().Label("wait for the end of init, or a signal")
	w.must(w.Call(unix.SYS_WAITID, unix.P_PIDFD, d.Init, info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT).Label("look how init has ended"))
	w.compare(info+infoCode, codeExited).OnZero(ended)
	w.compare(info+infoCode, 0).OnZero(lives)
	w.Go(w.over) // by a signal
	lives.Here()
	from := w.Bytes(make([]byte, signalInfoSize))
	w.Call(unix.SYS_READ, d.Signals, from, signalInfoSize).May().Label("read a signal")
	w.pass(entry.Slot(from))             // or none, which is number 0
	w.Nothing().KeepIn(entry.Slot(from)) // once
	if d.Orphans < 0 {
		w.Go(begin)
	} else {
		other := w.Slot(0)
		w.Call(unix.SYS_READ, d.Orphans, w.Bytes(make([]byte, signalInfoSize)), signalInfoSize).May().KeepIn(other).Label("read news of children")
		w.compare(entry.Addr(other), 0).OnZero(begin)
		w.Go(w.over)
	}
	ended.Here()
	return entry.Slot(info + infoStatus)
}

// pollList places the list of poll(2) for what can be read, and returns its length.
func (w *writer) pollList(fds ...int) (at entry.Addr, n int) {
	var b []byte
	for _, fd := range fds {
		if fd >= 0 {
			b = binary.NativeEndian.AppendUint32(b, uint32(fd))
			b = binary.NativeEndian.AppendUint16(b, unix.POLLIN)
			b = append(b, 0, 0)
			n++
		}
	}
	return w.Bytes(b), n
}

// remove removes the container, with its lock, if its record is what it was.
func (w *writer) remove(r *Removal) {
	w.must(w.Call(unix.SYS_FLOCK, w.duty.Lock, unix.LOCK_EX|unix.LOCK_NB).Label("lock the container"))
	w.unchanged(r)
	for i, dir := range r.Groups {
		removed, path := w.Place(), w.String(dir)
		if i == 0 {
			w.removeSoon(path, removed)
		}
		w.must(w.Call(unix.SYS_UNLINKAT, unix.AT_FDCWD, path, unix.AT_REMOVEDIR).Labelf("remove cgroup %s", dir))
		removed.Here()
	}
	for _, name := range r.Files {
		w.must(w.Call(unix.SYS_UNLINKAT, r.Dir, w.String(name), 0).Labelf("remove %s", name))
	}
	w.must(w.Call(unix.SYS_UNLINKAT, r.Root, w.String(r.ID), unix.AT_REMOVEDIR).Labelf("remove %s", r.ID))
}

// removeSoon tries to remove the first group, and waits a little if that cannot be yet: Linux
// 6.19 counts a process in its groups until it has been switched out for the last time, a
// moment after it is seen to have ended. (Later ones wait for that in rmdir.)
func (w *writer) removeSoon(path entry.Addr, removed *entry.Place) {
	for _, nanoseconds := range []uint64{100_000, 500_000, 2_000_000} {
		w.Call(unix.SYS_UNLINKAT, unix.AT_FDCWD, path, unix.AT_REMOVEDIR).May().Label("remove the first cgroup").OnZero(removed)
		w.Call(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, w.Words(0, nanoseconds), 0).May().Label("wait until init has left it")
	}
}

// unchanged lets ocirt take over if the record is not the same file, as it was.
func (w *writer) unchanged(r *Removal) {
	at := w.Bytes(make([]byte, statxSize))
	w.must(w.Call(unix.SYS_STATX, r.Dir, w.String(r.Record), unix.AT_SYMLINK_NOFOLLOW, unix.STATX_INO|unix.STATX_CTIME, at).Label("look at the record"))
	for _, place := range stampAt {
		value := w.Slot(0)
		w.stamp = append(w.stamp, value)
		w.must(w.compare(at+place, value))
	}
}
