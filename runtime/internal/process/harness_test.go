package process

import (
	"bytes"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// compileFunc is what plan/order.go lists.
type compileFunc func(*step.Input, step.Emit) error

// order is the part of plan/order.go that this package fills.
var order = []compileFunc{
	OOMScore, LimitsRoom, Signals, SessionKeyring, Affinity, Scheduler, IOPriority, MemoryPolicy, Personality,
	Umask, Capabilities, EnterDirectory, User, NoNewPrivileges, Rlimits, CloseFiles, Execute,
}

// input is a process that prints its own /proc/self/status.
func input() *step.Input {
	p := &specs.Process{
		Cwd: "/", Args: []string{"cat", "/proc/self/status"}, Env: []string{"PATH=/bin:/usr/bin"},
	}
	in := &step.Input{
		ID:      "test",
		Bundle:  &spec.Bundle{Spec: &specs.Spec{Process: p, Linux: &specs.Linux{}}},
		Process: p,
	}
	in.Options.NoNewKeyring = true
	in.Facts.LastCap = lastCapOfKernel()
	in.Facts.Caps = uint64(boundingOfKernel())
	in.Facts.Kernel = [2]int{6, 1}
	return in
}

func lastCapOfKernel() int {
	n := 0
	for prctl(unix.PR_CAPBSET_READ, n+1) >= 0 {
		n++
	}
	return n
}

func boundingOfKernel() (c Caps) {
	for n := range 64 {
		if prctl(unix.PR_CAPBSET_READ, n) == 1 {
			c |= 1 << n
		}
	}
	return c
}

func prctl(option, arg int) int {
	n, err := unix.PrctlRetInt(option, uintptr(arg), 0, 0, 0)
	if err != nil {
		return -1
	}
	return n
}

// result is what a program that was lowered and started left behind.
type result struct {
	Out     string
	Failed  string // label of the call that failed
	Step    step.Step
	Errno   syscall.Errno
	Status  syscall.WaitStatus
	program *entry.Program
}

// field returns a field of /proc/self/status as the process printed it.
func (r result) field(name string) string {
	for line := range strings.Lines(r.Out) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return "absent"
}

type start struct {
	exec  string
	home  string
	cwd   *os.File
	attr  *syscall.SysProcAttr
	extra []*os.File
	funcs []compileFunc
	first []func(*entry.Program) // calls before those of the steps
}

// run lowers the steps of in, starts them in a process of their own, and waits for it.
func run(t *testing.T, in *step.Input, s start) result {
	t.Helper()
	if s.exec == "" {
		s.exec = "/bin/" + in.Process.Args[0]
	}
	if s.funcs == nil {
		s.funcs = order
	}
	var p entry.Program
	p.FirstFile(3 + len(s.extra))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	p.ReportTo(p.Inherit(theirs))
	if s.cwd == nil {
		if s.cwd, err = os.Open(in.Process.Cwd); err != nil {
			t.Fatal(err)
		}
		defer s.cwd.Close()
	}
	i := &step.Init{
		Program: &p, Input: in, Listener: -1,
		Cwd:  p.Slot(int32(p.Inherit(s.cwd))),
		Exec: p.String(s.exec), Home: p.String(s.home),
	}
	for _, f := range s.first {
		f(&p)
	}
	var steps []step.Step
	for _, f := range s.funcs {
		if err := f(in, func(from string, st step.Step) { steps = append(steps, st) }); err != nil {
			t.Fatal(err)
		}
	}
	for n, st := range steps {
		ps, ok := st.(step.ProcessStep)
		if !ok {
			t.Fatalf("%s is no process step", st)
		}
		p.SetStep(n)
		if err := ps.Lower(i); err != nil {
			t.Fatal(err)
		}
	}
	return s.wait(t, &p, steps, ours, theirs)
}

func (s start) wait(t *testing.T, p *entry.Program, steps []step.Step, ours, theirs *os.File) result {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pid, err := p.Start(append([]*os.File{os.Stdin, w, os.Stderr}, s.extra...), s.attr)
	w.Close()
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	res := result{Out: string(out), program: p}
	if _, err := syscall.Wait4(pid, &res.Status, 0, nil); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	n, _ := unix.Read(int(ours.Fd()), b)
	if rec, ok := entry.ParseRecord(b[:max(n, 0)]); ok {
		var at int
		res.Failed, at = p.Describe(rec.Call)
		res.Errno = rec.Errno
		if at >= 0 && at < len(steps) {
			res.Step = steps[at]
		}
	}
	return res
}

// ok fails the test if the program did not get to its execve.
func (r result) ok(t *testing.T) result {
	t.Helper()
	if r.Failed != "" || r.Status.ExitStatus() != 0 {
		t.Fatalf("%s: %v (status %v), output %q", r.Failed, r.Errno, r.Status, bytes.TrimSpace([]byte(r.Out)))
	}
	return r
}

func sh(in *step.Input, script string) {
	in.Process.Args = []string{"sh", "-c", script}
}
