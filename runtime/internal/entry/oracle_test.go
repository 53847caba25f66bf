package entry

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWalkerDoesWhatInterpreterDoes gives random programs to both, and compares all that
// they leave behind: files, messages, status, and their own memory, which they write to
// stdout at the end. The interpreter reads the image as walk.go says, so it is the oracle
// for walker and layout.
func TestWalkerDoesWhatInterpreterDoes(t *testing.T) {
	count := 250
	if os.Getenv(emulator) != "" {
		count = 100
	}
	// Whoever started this test may have left descriptors open, which would shift the
	// numbers that a program gets.
	for fd := 3; fd < 1024; fd++ {
		unix.CloseOnExec(fd)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	seen := map[string]int{}
	for i := range count {
		if t.Failed() {
			return
		}
		compare(t, seed, uint64(i), seen)
	}
	t.Logf("seen: %v", seen)
	for _, what := range []string{"exit", "failure", "message", "memory", "jump"} {
		if seen[what] == 0 {
			t.Errorf("no program of %d had a %s", count, what)
		}
	}
}

// compare is one random program. What it was made of is a function of the seeds, so it
// can be made twice.
func compare(t *testing.T, seed, n uint64, seen map[string]int) {
	t.Helper()
	program := func() *Program { return randomProgram(rand.New(rand.NewPCG(seed, n))) }
	trial := enter(t, makeWorld(t), 12345)
	_, err := program().Interpret(trial)
	trial.close()
	if errors.Is(err, errEndless) {
		seen["endless"]++
		return
	}
	p, w := program(), makeWorld(t)
	for _, f := range w.files[3:] {
		p.Inherit(f)
	}
	pid := launch(t, p, w.files[:3])
	status := wait(t, pid)

	v := makeWorld(t)
	k := enter(t, v, pid)
	walk, err := p.Interpret(k)
	k.close()
	switch {
	case errors.Is(err, errPipe):
		seen["SIGPIPE"]++
		if status.Signal() != syscall.SIGPIPE {
			t.Errorf("program %d, %d: status %#x, want death by SIGPIPE", seed, n, status)
		}
	case err != nil:
		t.Fatalf("program %d, %d: %v", seed, n, err)
	case !status.Exited() || status.ExitStatus() != walk.Status:
		t.Errorf("program %d, %d: status %#x, want exit %d", seed, n, status, walk.Status)
	case walk.Failed != nil:
		seen["failure"]++
	default:
		seen["exit"]++
	}
	got, want := readAll(t, w.ours), readAll(t, v.ours)
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("program %d, %d: messages\n%q, want\n%q", seed, n, got, want)
	}
	seen["message"] += len(got)
	for _, names := range [][2]string{{w.stdin, v.stdin}, {w.stdout, v.stdout}} {
		got, want := readFile(t, names[0]), readFile(t, names[1])
		if got != want {
			t.Errorf("program %d, %d: %s has\n%q, want\n%q", seed, n, names[0], got, want)
		}
	}
	if len(readFile(t, v.stdout)) >= len(p.heap) {
		seen["memory"]++
	}
	for i, d := range walk.Done {
		if i > 0 && d.Index != walk.Done[i-1].Index+1 {
			seen["jump"]++
		}
	}
	if t.Failed() {
		for _, d := range walk.Done {
			t.Logf("call %d: system call %d %x = %d", d.Index, d.Trap, d.Args, d.Result)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A generator writes a random program of harmless calls.
type generator struct {
	*rand.Rand
	p     *Program
	slots []Slot
	buf   Addr
}

const bufSize = 64

func randomProgram(r *rand.Rand) *Program {
	p := &Program{}
	p.ReportTo(3)
	g := &generator{Rand: r, p: p, buf: p.Bytes(make([]byte, bufSize))}
	// A small table of descriptors, which a program can fill.
	p.Call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, p.Words(24, 24), 0)
	for range 5 + r.IntN(60) {
		g.call()
	}
	p.Call(unix.SYS_WRITE, 1, heapBase, len(p.heap)).May()
	p.Exit(r.IntN(256))
	return p
}

func (g *generator) call() {
	c := g.harmless()
	switch n := g.IntN(100); {
	case n < 87:
		c.May()
	case n < 98:
		errnos := []syscall.Errno{unix.EBADF, unix.EAGAIN, unix.ESPIPE, unix.EINVAL, unix.EMFILE, unix.EPERM}
		g.Shuffle(len(errnos), func(i, j int) { errnos[i], errnos[j] = errnos[j], errnos[i] })
		c.May(errnos[:1+g.IntN(maxErrnos)]...)
	}
	switch n := g.IntN(100); {
	case n < 30:
		g.slots = append(g.slots, c.Keep())
	case n < 50 && len(g.slots) > 0:
		c.KeepIn(g.slots[g.IntN(len(g.slots))])
	case n < 60:
		note := g.p.Note()
		c.KeepIn(note.Value)
		g.p.TellNote("note", note)
	case n < 61:
		c.KeepIn(g.p.Report())
	}
	if g.IntN(12) == 0 {
		c.ElseBack(g.p.calls[1+g.IntN(c.index)])
	}
}

func (g *generator) harmless() *Call {
	p := g.p
	switch g.IntN(11) {
	case 0:
		return p.Call(unix.SYS_GETPID)
	case 1:
		return p.Call(unix.SYS_GETPPID)
	case 2:
		return p.Call(unix.SYS_DUP, g.fd())
	case 3:
		return p.Call(unix.SYS_CLOSE, g.fd())
	case 4:
		return p.Call(unix.SYS_WRITE, g.fd(), p.String("some data to be written, here and there"), g.IntN(40))
	case 5:
		return p.Call(unix.SYS_READ, g.fd(), g.buf, g.IntN(bufSize))
	case 6:
		return p.Call(unix.SYS_LSEEK, g.fd(), g.number(), g.IntN(4))
	case 7:
		cmds := []int{unix.F_DUPFD, unix.F_GETFL, unix.F_GETPIPE_SZ}
		return p.Call(unix.SYS_FCNTL, g.fd(), cmds[g.IntN(len(cmds))], g.IntN(30))
	case 8:
		if os.Getenv(emulator) != "" && runtime.GOARCH == "s390x" {
			// QEMU swaps the bytes that are read from an eventfd, for the foreign byte
			// order, and forgets to after some copies of the descriptor.
			return p.Call(unix.SYS_DUP, g.fd())
		}
		return p.Call(unix.SYS_EVENTFD2, g.number(), unix.EFD_NONBLOCK)
	case 9:
		return p.Call(unix.SYS_DUP3, g.fd(), g.fd(), 0)
	}
	pair := p.Bytes(make([]byte, 2*SlotSize))
	g.slots = append(g.slots, Slot(pair), Slot(pair+SlotSize))
	return p.Call(unix.SYS_PIPE2, pair, unix.O_NONBLOCK)
}

func (g *generator) fd() any {
	if len(g.slots) > 0 && g.IntN(2) == 0 {
		return g.slots[g.IntN(len(g.slots))]
	}
	return []int{0, 1, 2, 4, 5, 6, 7, 8, 9, 20, 23, 24, 999, -1}[g.IntN(14)]
}

func (g *generator) number() any {
	if len(g.slots) > 0 && g.IntN(2) == 0 {
		return g.slots[g.IntN(len(g.slots))]
	}
	return g.IntN(100) - 20
}
