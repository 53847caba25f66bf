package launch

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// What is told of a pid is believed of new children alone: in a pid namespace that is
// joined, a process with the right to trace ours could say it.
func TestPidsOfStrangers(t *testing.T) {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var p entry.Program
	p.Call(unix.SYS_PPOLL, 0, 0, 0, 0, 0)
	child, err := p.Start([]*os.File{null, null, null}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = unix.Kill(child, unix.SIGKILL)
		reap(child)
	}()
	const builder, forked = 2, 6
	talking := func() *Launch {
		l := &Launch{pids: []int{1 << 22}, points: ns.Points{Maps: 1, Builder: builder, Entered: 5, Forked: forked}}
		l.Input = &step.Input{}
		return l
	}
	for _, point := range []int{builder, forked} {
		// 0: the process group, -1: all processes, then the first one, our parent and ourselves.
		for _, pid := range []int{0, -1, 1, os.Getppid(), os.Getpid()} {
			l := talking()
			err := l.handle(entry.Record{Call: point, Value: int32(pid)}, nil, &heard{})
			if err == nil || !slices.Equal(l.pids, []int{1 << 22}) {
				t.Errorf("point %d, process %d: %v, %v", point, pid, l.pids, err)
			}
		}
		l := talking()
		told := entry.Record{Call: point, Value: int32(child)}
		if l.handle(told, nil, &heard{}) != nil || !slices.Contains(l.pids, child) {
			t.Errorf("point %d: %v without the child", point, l.pids)
		}
		if err := l.handle(told, nil, &heard{}); err == nil || len(l.pids) != 2 {
			t.Errorf("point %d: %v after the child was told of twice, %v", point, l.pids, err)
		}
	}
}
