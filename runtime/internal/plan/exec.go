package plan

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/seccomp"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// CompileExec makes the plan of a further process in a container that exists: what it does
// before it joins, what is looked up for it in the container's root, and the same settings
// as those of the container's first process.
func CompileExec(in *step.Input) (*Plan, error) {
	p := &Plan{Namespaces: ns.Compile(in)}
	if err := compile(in, &p.Before, execEnter()); err != nil {
		return nil, err
	}
	if err := compile(in, &p.Sandbox, execLook()); err != nil {
		return nil, err
	}
	return p, compile(in, &p.Process, execOrder())
}

// CompileHook makes the plan of a startContainer hook: the settings of the container's
// process, without an execve, because what is executed is the hook's.
func CompileHook(in *step.Input) (*Plan, error) {
	p := &Plan{Namespaces: ns.Compile(in)}
	if err := compile(in, &p.Before, execEnter()); err != nil {
		return nil, err
	}
	return p, compile(in, &p.Process, slices.Concat(settings(), hookFinal()))
}

// created leaves a part out for a process that joins a container: it has done the same in
// execEnter, where it was still in namespaces that nobody else can change.
func created(part Part) Part {
	return func(in *step.Input, emit step.Emit) error {
		if in.Join != nil {
			return nil
		}
		return part(in, emit)
	}
}

// EnterPIDNamespace makes a process one of a pid namespace that exists: that of the
// container it joins, or one that config.json names. From here on the processes there see
// it. It holds nothing of the host's then, and as late as possible: it has the root, the
// user and the capabilities of the program it will execute, so that nothing can be gained
// by who takes hold of it (CVE-2016-9962).
type EnterPIDNamespace struct {
	Bare bool // no descriptor is needed any more but the container's and the report
}

// The three places where the pid namespace can be entered. The first two are for what a
// fork would undo, and for a filter that may forbid it.
const (
	beforeScheduler = iota
	beforeFilter
	atLast
)

// enterAt returns the part for one of the places: it compiles to nothing in the others.
func enterAt(place int) Part {
	return func(in *step.Input, emit step.Emit) error {
		if in.Process != nil && forks(in) && placeOf(in) == place {
			emit("ocirt", EnterPIDNamespace{Bare: place != beforeScheduler})
		}
		return nil
	}
}

// forks reports whether a process must fork to get into all of the container's namespaces.
// The first one is born into those that are new.
func forks(in *step.Input) bool {
	if in.Join == nil {
		pid := in.Namespace(specs.PIDNamespace)
		return pid != nil && pid.Path != ""
	}
	return in.Namespace(specs.PIDNamespace) != nil || in.Namespace(specs.TimeNamespace) != nil
}

func placeOf(in *step.Input) int {
	s, l := in.Process.Scheduler, in.Bundle.Spec.Linux
	switch {
	case s != nil && (s.Policy == specs.SchedDeadline || slices.Contains(s.Flags, specs.SchedFlagResetOnFork)):
		return beforeScheduler
	case l != nil && l.Seccomp != nil && !in.Process.NoNewPrivileges && !permitsFork(in, l.Seccomp):
		return beforeFilter
	}
	return atLast
}

// permitsFork reports whether a filter that is loaded before the user changes lets a process
// enter the pid namespace after that. Most do; then the process is seen only without the
// privilege that loading needs.
func permitsFork(in *step.Input, profile *specs.LinuxSeccomp) bool {
	if seccomp.Notifies(profile) {
		return false // its listener is for the process that will execute
	}
	p := &entry.Program{}
	init := &step.Init{Program: p, Input: in}
	if (EnterPIDNamespace{Bare: true}).Lower(init) != nil || (AwaitGo{}).Lower(init) != nil {
		return false
	}
	return seccomp.Permits(profile, p.Calls())
}

func (EnterPIDNamespace) String() string { return "enter the pid namespace" }

// Lower writes the fork. The session of its own is for the child: a leader's belongs to it.
func (s EnterPIDNamespace) Lower(in *step.Init) error {
	if s.Bare {
		in.Call(unix.SYS_CLOSE_RANGE, s.gather(in), uint32(0xffffffff), 0).
			May(unix.ENOSYS, unix.EINVAL, unix.EPERM).Label("close descriptors")
	}
	ns.Fork(in.Program, ForkLabel, EnteredLabel)
	in.Call(unix.SYS_SETSID).Label("begin a session").May(unix.EPERM)
	return nil
}

// gather makes the descriptors that are still needed the first ones, and returns the number
// of the next. Behind the container's is the report, and behind that of a container's first
// process its start socket. What was inherited behind these is closed by then, so its place
// is free for the terminal.
func (EnterPIDNamespace) gather(in *step.Init) int {
	next := in.Input.KeepFDs() + 1
	if in.Input.Join != nil {
		return next
	}
	next++
	if in.Input.Process.Terminal {
		in.Call(unix.SYS_DUP3, in.Console, next, unix.O_CLOEXEC).Label("keep the terminal").KeepIn(in.Console)
		next++
	}
	return next
}

// ForkLabel is the label of the call that fails with ENOMEM when the pid namespace has
// ended, and EnteredLabel that of the record with the pid of the process that goes on.
const (
	ForkLabel    = "fork into the pid namespace"
	EnteredLabel = "report the process of the pid namespace"
)

// AwaitGo makes a process that joins a container wait until everything that the caller
// asked for is in place: its pid is written, its terminal handed over. If the caller ends
// before, so does the process.
type AwaitGo struct{}

// Await compiles it.
func Await(_ *step.Input, emit step.Emit) error {
	emit("ocirt", AwaitGo{})
	return nil
}

func (AwaitGo) String() string { return "wait for the caller" }

// Lower writes the wait.
func (AwaitGo) Lower(in *step.Init) error {
	in.Wait(AwaitLabel)
	return nil
}

// AwaitLabel is the label of the wait.
const AwaitLabel = "wait for the caller"
