package entry

import (
	"errors"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// answers is a kernel that answers by system call number, zero if it has no answer left,
// and remembers the text at the first argument of an execve.
type answers struct {
	by       map[uintptr][]int64
	executed string
	sent     []Record
}

func (k *answers) Syscall(s Syscall) (result int64, err error) {
	switch s.Trap {
	case unix.SYS_EXECVE:
		k.executed, err = s.Memory.Text(Addr(s.Args[0]))
	case unix.SYS_SENDTO:
		var b []byte
		b, err = s.Memory.Bytes(Addr(s.Args[1]), int(s.Args[2]))
		r, _ := ParseRecord(b)
		k.sent = append(k.sent, r)
		return int64(len(b)), err
	}
	if list := k.by[s.Trap]; len(list) > 0 {
		result, k.by[s.Trap] = list[0], list[1:]
	}
	return result, err
}

func traps(w *Walk) (list []uintptr) {
	for _, d := range w.Done {
		list = append(list, d.Trap)
	}
	return list
}

func TestInterpretBothSidesOfFork(t *testing.T) {
	var p Program
	p.Call(unix.SYS_CLONE).Fork(func(p *Program) {
		p.Call(unix.SYS_GETUID)
		p.Exit(3)
	})
	p.Call(unix.SYS_EXECVE, p.String("/bin/true"), 0, 0)
	k := &answers{by: map[uintptr][]int64{unix.SYS_CLONE: {17}}}
	w, err := p.Interpret(k)
	if want := []uintptr{unix.SYS_CLONE, unix.SYS_GETUID}; err != nil || !slices.Equal(traps(w), want) || w.Status != 3 || w.Executed {
		t.Errorf("parent: %+v, %v", w, err)
	}
	k = &answers{}
	w, err = p.Interpret(k)
	if want := []uintptr{unix.SYS_CLONE, unix.SYS_GETPID, unix.SYS_EXECVE}; err != nil || !slices.Equal(traps(w), want) {
		t.Errorf("child: %+v, %v", w, err)
	}
	if !w.Executed || k.executed != "/bin/true" {
		t.Errorf("executed %q, %v", k.executed, w.Executed)
	}
}

func TestInterpretFailure(t *testing.T) {
	var p Program
	slot := p.Call(unix.SYS_DUP, 1).May(unix.EMFILE).Keep()
	p.Call(unix.SYS_CLOSE, slot)
	k := &answers{by: map[uintptr][]int64{unix.SYS_DUP: {-int64(unix.EMFILE)}, unix.SYS_CLOSE: {-int64(unix.EBADF)}}}
	w, err := p.Interpret(k)
	want := Record{Call: 1, Errno: unix.EBADF}
	if err != nil || w.Failed == nil || *w.Failed != want || w.Status != 1 {
		t.Fatalf("%+v, %v", w, err)
	}
	if !slices.Equal(k.sent, []Record{want}) {
		t.Errorf("sent %+v", k.sent)
	}
	if got := w.Done[1].Args[0]; got != ^uintptr(0) {
		t.Errorf("the slot that nothing was kept in is %#x, want -1", got)
	}
}

func TestInterpretGivesUp(t *testing.T) {
	var p Program
	first := p.Call(unix.SYS_GETUID)
	p.Call(unix.SYS_GETUID).ElseBack(first)
	if _, err := p.Interpret(&answers{}); !errors.Is(err, ErrEndless) {
		t.Errorf("error %v", err)
	}
}

func TestMemoryEndsSomewhere(t *testing.T) {
	m := &Memory{[]byte("abc\x00def")}
	if s, err := m.Text(dataBase + 1); s != "bc" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	for _, a := range []Addr{0, dataBase - 1, dataBase + 4, dataBase + 8, ^Addr(0)} {
		if s, err := m.Text(a); !errors.Is(err, unix.EFAULT) {
			t.Errorf("text at %#x: %q, %v", a, s, err)
		}
	}
	for _, n := range []int{-1, 8, int(^uint(0) >> 1)} {
		if b, err := m.Bytes(dataBase, n); !errors.Is(err, unix.EFAULT) {
			t.Errorf("%d bytes: %q, %v", n, b, err)
		}
	}
}

func TestCallsAreDescribed(t *testing.T) {
	var p Program
	p.Call(unix.SYS_DUP, 1).Label("one").May(unix.EMFILE, unix.EBADF)
	p.SetStep(3)
	p.Call(unix.SYS_CLOSE, 1).May()
	wait := p.Wait("two").args
	want := []Description{
		{Index: 0, Trap: unix.SYS_DUP, Label: "one", Args: [6]uintptr{1}, May: []syscall.Errno{unix.EMFILE, unix.EBADF}},
		{Index: 1, Trap: unix.SYS_CLOSE, Step: 3, Args: [6]uintptr{1}, MayAny: true},
		{Index: 2, Trap: unix.SYS_RECVFROM, Label: "two", Step: 3, Args: wait, Slots: 1},
	}
	got := p.Calls()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if !got[0].MayFail() || !got[1].MayFail() || got[2].MayFail() {
		t.Error("which calls may fail is wrong")
	}
	got[0].May[0] = 0
	if !reflect.DeepEqual(p.Calls(), want) {
		t.Error("a description can change its program")
	}
	for index, want := range map[int]string{0: "one", 2: "two", -1: "call -1", 3: "call 3"} {
		if label, _ := p.Describe(index); label != want {
			t.Errorf("call %d is %q, want %q", index, label, want)
		}
	}
}
