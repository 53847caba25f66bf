package attend

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

const (
	initFD, lockFD, caughtFD, signalsFD, orphansFD = 10, 11, 12, 13, 14
	rootFD, dirFD, programFD, connFD, initRootFD   = 15, 16, 17, 18, 19
)

var record = Stamp{Inode: 1<<40 + 7, Seconds: 1_700_000_000, Nanoseconds: 999_999_999}

// duty is one with everything there is.
func duty() *Duty {
	return &Duty{
		Name: "ocirt", Init: initFD, Lock: lockFD, Processors: make([]byte, 128), Start: true,
		Caught: caughtFD, Signals: signalsFD, Orphans: orphansFD,
		Removal: &Removal{Groups: []string{"/g/a", "/g"}, Root: rootFD, ID: "c", Dir: dirFD, Files: []string{"sock", "state", "intent"}, Record: "state"},
		Again:   Again{Program: programFD, Argv: []string{"ocirt", "run"}, Env: []string{"A=b"}, Drop: []int{initFD, programFD}, Room: 64},
	}
}

// A host pretends to be a kernel on which nothing unusual happens, but for what is asked for.
type host struct {
	fail     map[int]unix.Errno // by the number of the call that is made
	code     int32              // si_code when init has ended
	status   int32
	conn     []byte // what init says
	silent   bool   // init says nothing for long
	caught   []int32
	signals  []int32 // of each wait for one; the last one is followed by init's end
	orphan   bool
	changed  bool // the record
	busy     int  // how often the first group is
	slept    int
	sent     []int
	removed  []string
	released bool // the lock
	locked   bool
	reaped   bool
	env      []string // of ocirt, when it takes over
	made     int
}

func (h *host) Syscall(s entry.Syscall) (int64, error) {
	n := h.made
	h.made++
	if errno, ok := h.fail[n]; ok && s.Trap != unix.SYS_RT_SIGPROCMASK { // that of nothing cannot fail
		return -int64(errno), nil
	}
	return h.do(s)
}

func (h *host) do(s entry.Syscall) (int64, error) {
	ne := binary.NativeEndian
	switch fd := int(int32(s.Args[0])); s.Trap {
	case unix.SYS_CLOCK_NANOSLEEP:
		h.slept++
		return 0, nil
	case unix.SYS_PRCTL, unix.SYS_SCHED_SETAFFINITY, unix.SYS_RT_SIGPROCMASK, unix.SYS_FCNTL, unix.SYS_WRITE, unix.SYS_CLOSE:
		return 0, nil
	case unix.SYS_FLOCK:
		h.locked = s.Args[1]&unix.LOCK_EX != 0
		h.released = h.released || !h.locked
		return 0, nil
	case unix.SYS_PPOLL:
		list, err := s.Memory.Bytes(entry.Addr(s.Args[0]), 4)
		if err != nil {
			return 0, err
		}
		if ne.Uint32(list) == connFD && h.silent {
			return 0, nil
		}
		return 1, nil
	case unix.SYS_RECVFROM:
		return int64(len(h.conn)), nil
	case unix.SYS_READ:
		return h.read(fd, s)
	case unix.SYS_PIDFD_SEND_SIGNAL:
		if s.Args[1] != 0 {
			h.sent = append(h.sent, int(s.Args[1]))
		}
		return 0, nil
	case unix.SYS_WAITID:
		return h.wait(s)
	case unix.SYS_FUTEX:
		word, err := s.Memory.Bytes(entry.Addr(s.Args[0]), 4)
		if err != nil || ne.Uint32(word) != uint32(s.Args[5]) {
			return -int64(unix.EAGAIN), err
		}
		return 0, nil
	case unix.SYS_STATX:
		return h.statx(s)
	case unix.SYS_UNLINKAT:
		name, err := s.Memory.Text(entry.Addr(s.Args[1]))
		if name == "/g/a" && h.busy > 0 {
			h.busy--
			return -int64(unix.EBUSY), err
		}
		h.removed = append(h.removed, fmt.Sprintf("%d %s", fd, name))
		return 0, err
	case unix.SYS_EXECVEAT:
		return 0, h.environment(s)
	}
	return 0, fmt.Errorf("call %d", s.Trap)
}

func (h *host) read(fd int, s entry.Syscall) (int64, error) {
	take := func(from *[]int32, size int64) (int64, error) {
		if len(*from) == 0 {
			return -int64(unix.EAGAIN), nil
		}
		b, err := s.Memory.Bytes(entry.Addr(s.Args[1]), 4)
		if err == nil {
			binary.NativeEndian.PutUint32(b, uint32((*from)[0]))
			*from = (*from)[1:]
		}
		return size, err
	}
	switch fd {
	case caughtFD:
		if len(h.caught) == 0 {
			return 0, nil // the end
		}
		return take(&h.caught, 4)
	case signalsFD:
		return take(&h.signals, signalInfoSize)
	case orphansFD:
		if h.orphan {
			return signalInfoSize, nil
		}
		return -int64(unix.EAGAIN), nil
	}
	return 0, fmt.Errorf("read of %d", fd)
}

func (h *host) wait(s entry.Syscall) (int64, error) {
	if s.Args[2] == 0 {
		h.reaped = true
		return 0, nil
	}
	info, err := s.Memory.Bytes(entry.Addr(s.Args[2]), infoSize)
	if err != nil {
		return 0, err
	}
	if len(h.signals) > 0 || h.orphan {
		clear(info)
		return 0, nil
	}
	binary.NativeEndian.PutUint32(info[infoCode:], uint32(h.code))
	binary.NativeEndian.PutUint32(info[infoStatus:], uint32(h.status))
	return 0, nil
}

func (h *host) statx(s entry.Syscall) (int64, error) {
	b, err := s.Memory.Bytes(entry.Addr(s.Args[4]), statxSize)
	if err != nil {
		return 0, err
	}
	is := record
	if h.changed {
		is.Nanoseconds--
	}
	for i, w := range is.words() {
		binary.NativeEndian.PutUint32(b[stampAt[i]:], w)
	}
	return 0, nil
}

func (h *host) environment(s entry.Syscall) error {
	for at := entry.Addr(s.Args[3]); ; at += 8 {
		b, err := s.Memory.Bytes(at, 8)
		if err != nil {
			return err
		}
		p := entry.Addr(binary.NativeEndian.Uint64(b))
		if p == 0 {
			return nil
		}
		text, err := s.Memory.Text(p)
		if err != nil {
			return err
		}
		h.env = append(h.env, text)
	}
}

func walk(t *testing.T, d *Duty, h *host) *entry.Walk {
	t.Helper()
	text := Write(d)
	text.Complete(Late{Record: record, Conn: connFD, Root: initRootFD, Starting: "S=starting", Running: "S=running"})
	w, err := text.Interpret(h)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

var everything = []string{"-100 /g/a", "-100 /g", "16 sock", "16 state", "16 intent", "15 c"}

func TestEnd(t *testing.T) {
	h := &host{code: codeExited, status: 37, caught: []int32{15, 10}, signals: []int32{1, 64, 2}}
	w := walk(t, duty(), h)
	if w.Executed || w.Status != 37 || !h.reaped || !h.locked || !h.released {
		t.Errorf("executed %v, status %d, reaped %v, locked %v, was unlocked %v", w.Executed, w.Status, h.reaped, h.locked, h.released)
	}
	if want := []int{15, 10, 1, 64, 2}; !slices.Equal(h.sent, want) {
		t.Errorf("passed on %v, want %v", h.sent, want)
	}
	if !slices.Equal(h.removed, everything) {
		t.Errorf("removed %q, want %q", h.removed, everything)
	}
}

// A group that is in use for a moment is waited for; for longer, it is ocirt's.
func TestBusy(t *testing.T) {
	for busy := range 5 {
		h := &host{code: codeExited, busy: busy}
		w := walk(t, duty(), h)
		if w.Executed != (busy == 4) || h.slept != min(busy, 3) || !w.Executed && !slices.Equal(h.removed, everything) {
			t.Errorf("busy %d times: ocirt takes over: %v; waited %d times, removed %q", busy, w.Executed, h.slept, h.removed)
		}
	}
}

func TestEndWithoutRemoval(t *testing.T) {
	d := duty()
	d.Removal, d.Orphans, d.Start = nil, -1, false
	h := &host{code: codeExited, status: 3, signals: []int32{15}}
	if w := walk(t, d, h); w.Executed || w.Status != 3 || !h.reaped || h.locked || len(h.removed) > 0 || len(h.sent) != 1 {
		t.Errorf("%+v after %+v", h, w.Status)
	}
}

// What ocirt has to look at itself.
func TestTakeOver(t *testing.T) {
	for name, h := range map[string]*host{
		"starting: init says something": {conn: []byte{1}},
		"starting: init says nothing":   {silent: true},
		"running: killed":               {code: 2, status: 9},
		"running: dumped":               {code: 3, status: 11},
		"running: an orphan":            {orphan: true},
		"running: the record changed":   {code: codeExited, changed: true},
		"running: a group is in use":    {code: codeExited, busy: 100},
	} {
		t.Run(name, func(t *testing.T) {
			w := walk(t, duty(), h)
			mark := map[bool]string{true: "S=starting", false: "S=running"}[name[0] == 's']
			if !w.Executed || !slices.Equal(h.env, []string{"A=b", mark}) {
				t.Errorf("executed %v with %q, want %q", w.Executed, h.env, mark)
			}
			if len(h.removed) > 0 || h.reaped || h.locked || h.released == (mark == "S=starting") {
				t.Errorf("removed %q, reaped %v, locked %v, was unlocked %v", h.removed, h.reaped, h.locked, h.released)
			}
		})
	}
}

// Whatever call fails, either nothing is missing without it, or ocirt takes over, not
// holding the lock, and nothing more is removed.
func TestEveryFailure(t *testing.T) {
	good := &host{code: codeExited, status: 5, caught: []int32{15}, signals: []int32{10}}
	calls := walk(t, duty(), good).Done
	took := 0
	for i := range calls {
		h := &host{code: codeExited, status: 5, caught: []int32{15}, signals: []int32{10}, fail: map[int]unix.Errno{i: unix.EIO}}
		w := walk(t, duty(), h)
		switch {
		case w.Failed != nil:
			t.Errorf("call %d of %d (%d) ends the process", i, len(calls), calls[i].Trap)
		case w.Executed:
			took++
			if h.locked || h.reaped {
				t.Errorf("call %d of %d (%d): ocirt takes over with the lock (%v), or too late (%v)", i, len(calls), calls[i].Trap, h.locked, h.reaped)
			}
			if last := w.Done[len(w.Done)-1]; last.Trap != unix.SYS_EXECVEAT {
				t.Errorf("call %d of %d: the last one is %d", i, len(calls), last.Trap)
			}
		case w.Status != 5 || !slices.Equal(h.removed, everything):
			t.Errorf("call %d of %d (%d): status %d, removed %q", i, len(calls), calls[i].Trap, w.Status, h.removed)
		}
	}
	// Waiting for init twice, hearing it, the end of it, lock, record, five words of it, and
	// six removals.
	if took < 16 {
		t.Errorf("ocirt takes over after %d failures", took)
	}
}

// The last resort, when ocirt cannot be executed again: no endless loop, no zero.
func TestNoOcirt(t *testing.T) {
	h := &host{conn: []byte{1}}
	text := Write(duty())
	for i, c := range text.Calls() {
		if c.Trap == unix.SYS_EXECVEAT && !c.MayAny {
			t.Errorf("call %d must not fail", i)
		}
	}
	text.Complete(Late{Record: record, Conn: connFD, Root: initRootFD})
	first, err := text.Interpret(h)
	if err != nil || !first.Executed {
		t.Fatal(err)
	}
	w, err := text.Interpret(&host{conn: []byte{1}, fail: map[int]unix.Errno{len(first.Done) - 1: unix.ENOENT}})
	if err != nil || w.Executed || w.Status != failed {
		t.Errorf("%v, executed %v, status %d", err, w.Executed, w.Status)
	}
}
