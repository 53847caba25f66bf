package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/process"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// ExecOptions are the caller's choices about a further process that are not in its process
// object.
type ExecOptions struct {
	// Stdio are its descriptors 0 to 2; see Inherit. With a terminal they are not used.
	Stdio [3]*os.File
	// ExtraFiles are passed on after them.
	ExtraFiles []*os.File

	// ConsoleSocket is the path of a listening stream socket that receives the terminal's
	// master. Without it Process.Console returns the master.
	ConsoleSocket string
	// PidfdSocket is the path of a listening stream socket that receives a pidfd of the
	// process.
	PidfdSocket string
	// PidFile is where its pid is written, in decimal, without a newline, before it
	// executes its program. If it cannot, the file is removed.
	PidFile string

	// Cgroups are groups below the container's own that the process is to be in: one path
	// for all hierarchies or, on cgroup v1, some of "CONTROLLER[,CONTROLLER]:PATH".
	Cgroups []string
	// IgnorePaused starts the process also in a container that is paused. It begins to run,
	// and Exec to return, when the container is resumed.
	IgnorePaused bool

	// Attach is called, if it is not nil, when the process exists and before it executes
	// its program. If it fails, the process never does.
	Attach func(*Process) error
}

// Exec starts a further process in the container, and returns when it has executed its
// program, or with the reason why it could not. Then nothing of it is left.
//
// What a process object leaves out is as it is for the container's first process:
// capabilities, resource limits, labels, scheduling, I/O priority, processors and OOM
// score. The object must be valid (spec.CheckProcess).
//
// The process is a child of this one. It goes on when this one ends.
func (c *Container) Exec(ctx context.Context, p *specs.Process, o ExecOptions) (_ *Process, err error) {
	if err := c.trust(); err != nil {
		return nil, err
	}
	if err := c.mayExec(o.IgnorePaused); err != nil {
		return nil, err
	}
	x := &execution{c: c, options: o}
	defer x.close()
	if err := x.prepare(p); err != nil {
		return nil, x.explain(err)
	}
	proc, err := x.run(ctx)
	if err != nil {
		x.pidFile.remove()
		return nil, x.explain(err)
	}
	return proc, nil
}

// Process is a copy of the process object in the container's configuration, from which one
// for Exec can be made.
func (c *Container) Process() (*specs.Process, error) {
	b, err := c.bundle()
	if err != nil {
		return nil, err
	}
	if b.Spec.Process == nil {
		return nil, errors.New("process property must not be empty")
	}
	return b.Spec.Process, nil // parsed anew for each call
}

func (c *Container) mayExec(ignorePaused bool) error {
	status, err := c.Status()
	if err != nil {
		return err
	}
	text := ""
	switch {
	case status == Created, status == Running, status == Paused && ignorePaused:
		return nil
	case status == Stopped:
		text = textExecStopped
	case status == Paused:
		text = "cannot exec in a paused container (use --ignore-paused to override)"
	default:
		text = "cannot exec in a container that is " + string(status)
	}
	return stateError(c.rec.ID, "exec", status, "%s", text)
}

const textExecStopped = "cannot exec in a stopped container"

// An execution is an Exec in progress.
type execution struct {
	c       *Container
	options ExecOptions
	input   *step.Input
	plan    *plan.Plan
	init    *os.File // pidfd
	sandbox *step.Sandbox
	request launch.JoinRequest
	below   string // path to the version 2 group below the container's, if it is not that
	pidFile *pidFile
	said    map[string]bool // of its capabilities
}

func (x *execution) close() {
	if x.sandbox != nil {
		for _, f := range []*os.File{x.sandbox.Root, x.sandbox.Console, x.sandbox.Master} {
			if f != nil {
				f.Close()
			}
		}
	}
	closeAll(x.request.Tasks)
	for _, f := range []*os.File{x.init, x.request.CgroupFD} {
		if f != nil {
			f.Close()
		}
	}
	x.pidFile.close()
}

// prepare does everything that needs no process.
func (x *execution) prepare(p *specs.Process) error {
	c := x.c
	b, err := c.bundle()
	if err != nil {
		return err
	}
	p = completed(p, b.Spec.Process)
	facts := probe()
	if x.said, err = c.checkProcess(p, b.Spec.Process, &facts); err != nil {
		return err
	}
	x.input = &step.Input{ID: c.rec.ID, Bundle: b, Process: p, Facts: facts}
	x.input.Options = c.options()
	x.input.Options.PreserveFDs = len(x.options.ExtraFiles)
	if x.input.Join, x.init, err = c.join(x.input); err != nil {
		return err
	}
	if x.plan, err = plan.CompileExec(x.input); err != nil {
		return err
	}
	x.warnCapabilities()
	if x.pidFile, err = preparePidFile(x.options.PidFile); err != nil {
		return err
	}
	if err := x.look(); err != nil {
		return err
	}
	return x.openGroups()
}

// options are those that the container was made with, as far as they concern its other
// processes.
func (c *Container) options() step.Options {
	return step.Options{NoPivot: c.rec.NoPivot, Rootless: c.rec.Rootless, NoNewKeyring: c.rec.NoNewKeyring}
}

// checkProcess reports what is wrong with a process, as one error. What is questionable about
// the container's first process, too, was told when the container was made. See passOn for what
// it returns.
func (c *Container) checkProcess(p, first *specs.Process, facts *step.Facts) (said map[string]bool, err error) {
	problems := spec.CheckProcess("process", p)
	if len(problems.Errors()) == 0 {
		problems = append(problems, spec.UnsupportedProcess(p)...)
	}
	told := map[string]bool{}
	if warnings := problems.Warnings(); len(warnings) > 0 && first != nil {
		for _, w := range spec.CheckProcess("process", first) {
			told[w.String()] = true
		}
	}
	var news spec.Problems
	for _, w := range problems.Warnings() {
		if !told[w.String()] {
			news = append(news, w)
		}
	}
	said = c.rt.passOn(news)
	if errs := problems.Errors(); len(errs) > 0 {
		return nil, errs
	}
	return said, c.rt.checkLabels(facts, p, nil)
}

// warnCapabilities says which capabilities the process asks for and will not have, but for
// those that the container's first process asks for, too.
func (x *execution) warnCapabilities() {
	in := *x.input
	missing, unraised := process.Unavailable(&in), process.Unraised(&in)
	if in.Process = in.Bundle.Spec.Process; len(missing)+len(unraised) > 0 {
		missing = without(missing, process.Unavailable(&in))
		unraised = without(unraised, process.Unraised(&in))
	}
	x.c.rt.warnCapabilities(missing, unraised, x.said)
}

func without(list, those []string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return slices.Contains(those, s) })
}

// completed is a process with what it leaves out taken from the container's first one.
func completed(p, first *specs.Process) *specs.Process {
	if first == nil || p == first {
		return p
	}
	out := *p
	if out.Capabilities == nil {
		out.Capabilities = first.Capabilities
	}
	if len(out.Rlimits) == 0 {
		out.Rlimits = first.Rlimits
	}
	if out.ApparmorProfile == "" {
		out.ApparmorProfile = first.ApparmorProfile
	}
	if out.SelinuxLabel == "" {
		out.SelinuxLabel = first.SelinuxLabel
	}
	if out.Scheduler == nil {
		out.Scheduler = first.Scheduler
	}
	if out.IOPriority == nil {
		out.IOPriority = first.IOPriority
	}
	if out.ExecCPUAffinity == nil {
		out.ExecCPUAffinity = first.ExecCPUAffinity
	}
	if out.OOMScoreAdj == nil {
		out.OOMScoreAdj = first.OOMScoreAdj
	}
	return &out
}

// look does the steps that look into the container's root, which is hostile, from outside.
func (x *execution) look() error {
	x.sandbox = &step.Sandbox{Input: x.input, Warn: x.c.rt.warnf}
	var err error
	if x.sandbox.Root, err = x.c.joinRoot(x.input); err != nil {
		return err
	}
	for _, e := range x.plan.Sandbox {
		s, ok := e.Step.(step.SandboxStep)
		if !ok {
			return fmt.Errorf("bug in ocirt: it is a %T", e.Step)
		}
		if err := s.Do(x.sandbox); err != nil {
			return err // in words of its own: callers know them
		}
	}
	return nil
}

// run starts the process, and lets it go on when everybody has what was asked for.
func (x *execution) run(ctx context.Context) (_ *Process, err error) {
	if err := x.fill(); err != nil {
		return nil, err
	}
	j, err := x.join(ctx)
	if err != nil {
		return nil, err
	}
	fd, err := unix.PidfdOpen(j.Pid, 0) // our child
	if err != nil {
		j.Abort()
		return nil, fmt.Errorf("cannot open a process: %w", err)
	}
	p := &Process{pid: j.Pid, pidfd: os.NewFile(uintptr(fd), "pidfd"), console: x.sandbox.Master}
	x.sandbox.Master = nil
	if err := x.handOver(p); err != nil {
		j.Abort()
		p.Close()
		return nil, err
	}
	if err := j.Release(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// fill completes the request.
func (x *execution) fill() error {
	r, s := &x.request, x.sandbox
	r.Input, r.Plan, r.Pidfd, r.Dir = x.input, x.plan, x.init, x.c.dir.Path()
	r.Home, r.Exec = s.Home, s.Exec
	r.Agent = x.c.agent(x.input.Bundle)
	stdio := x.options.Stdio
	if s.Console != nil {
		stdio = [3]*os.File{s.Console, s.Console, s.Console}
	} else if err := process.GiveStreams(x.input, stdio[:]); err != nil {
		return err
	}
	r.Files = append(slices.Clone(stdio[:]), x.options.ExtraFiles...)
	return nil
}

// handOver gives the outside world what it asked for, in runc's order: terminal, pidfd, pid
// file.
func (x *execution) handOver(p *Process) error {
	if x.sandbox.Console != nil { // the process has it: only with its end may the master's reader see one
		x.sandbox.Console.Close()
		x.sandbox.Console = nil
	}
	if p.console != nil && x.options.ConsoleSocket != "" {
		if err := sendFile(x.options.ConsoleSocket, "console-socket", "/dev/ptmx", p.console); err != nil {
			return err
		}
		p.console.Close()
		p.console = nil
	}
	if x.options.PidfdSocket != "" {
		if err := sendFile(x.options.PidfdSocket, "pidfd-socket", "setns", p.pidfd); err != nil {
			return err
		}
	}
	if err := x.pidFile.write(p.pid); err != nil {
		return err
	}
	if x.options.Attach == nil {
		return nil
	}
	return x.options.Attach(p)
}
