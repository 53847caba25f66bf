// Package launch carries a plan out: it starts init, lets the builder build, serves what
// only the host can do, and waits until init is ready. It runs steps without knowing them.
package launch

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// A Request is what Create needs.
type Request struct {
	Input    *step.Input
	Plan     *plan.Plan
	Host     *step.Host
	Files    []*os.File // descriptors 0 to Input.KeepFDs()-1 of the container's process
	Listener *os.File   // the start socket, listening
	Agent    Agent      // gets the listener, if the container's filter has one that is loaded before start
	Dir      string     // for init's image where the host forbids executable memory files

	// Builder is the executable that builds where a thread cannot. See Serve. If it is to be
	// hidden, no process of a user namespace that is joined may trace it.
	Builder func(hidden bool) (*os.File, error)
}

// A launch is a Create in progress.
type launch struct {
	Request
	program *entry.Program
	points  ns.Points
	ready   int                // index of the call that reports readiness
	sock    int                // our end of the socket to init
	wire    int                // our end of the socket to a builder process; -1 if a thread builds
	opened  map[int][]*os.File // by number in the sandbox section: what Openers brought
	pids    []int              // of all children, init last
	master  *os.File
	cgroups *os.File // the container's cgroup namespace, for a builder process

	handOver handOver
}

// Create carries the plan out up to the point where init waits for start. If it returns an
// error, no process is left; what HostSteps made is the caller's to undo.
func Create(r Request) (_ *Init, err error) {
	l := &launch{Request: r, sock: -1, wire: -1, opened: map[int][]*os.File{}}
	defer l.close()
	joined, err := r.Plan.Namespaces.OpenJoined()
	if err != nil {
		return nil, &step.Error{Where: "host", Err: err}
	}
	defer closeFiles(joined)
	// The kernel needs as long for init's namespaces as for the cgroups, so both are made
	// at once where init can be told of the groups later. Systemd makes them for a process
	// that lives.
	later, host := l.later(), make(chan error, 1)
	switch {
	case l.held():
	case later > 0:
		go func() { host <- l.doHost() }()
	default:
		if err := l.doHost(); err != nil {
			return nil, err
		}
	}
	err = l.start(joined, later)
	switch {
	case l.held() && err == nil && r.Plan.Namespaces.Direct():
		err = l.doHeld()
	case later > 0 && !l.held():
		if hostErr := <-host; hostErr != nil {
			err = hostErr
		}
	}
	defer func() {
		if err != nil {
			loans := giveBack(l.Host.Loans)
			if err = l.abort(err); loans != nil {
				err = errors.Join(err, loans)
			}
		}
	}()
	if err != nil {
		return nil, err
	}
	if later > 0 && !l.held() {
		if err := l.sendTasks(later); err != nil {
			return nil, err
		}
	}
	if err := l.converse(); err != nil {
		return nil, err
	}
	l.reapOthers()
	init := &Init{Pid: l.init(), Master: l.master, Calls: l.program.Len(), sock: l.sock, loans: l.Host.Loans}
	l.master, l.sock = nil, -1
	return init, nil
}

// doHost does the steps of the host section.
func (l *launch) doHost() error {
	for i, e := range l.Plan.Host {
		s, ok := e.Step.(step.HostStep)
		if !ok {
			return fmt.Errorf("bug in ocirt: step %d of the host section is a %T", i+1, e.Step)
		}
		if err := s.Do(l.Host); err != nil {
			return &step.Error{Step: e.Step.String(), From: e.From, Where: "host", Err: err}
		}
	}
	return nil
}

// doHeld does the steps of the host section for init, which waits for its groups.
func (l *launch) doHeld() error {
	l.Host.Pid = l.init()
	if err := l.doHost(); err != nil {
		return err
	}
	return l.sendTasks(l.later())
}

// start writes the program and starts it.
func (l *launch) start(joined []*os.File, later int) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot make the socket to init: %w", err)
	}
	l.sock = pair[0]
	theirs := os.NewFile(uintptr(pair[1]), "init")
	defer theirs.Close()
	p := &entry.Program{}
	l.program = p
	p.SetFallbackDir(l.Dir)
	p.FirstFile(l.Input.KeepFDs())
	p.ReportTo(p.Inherit(theirs))
	listener := p.Inherit(l.Listener)
	enter := ns.Enter{Program: p, First: l.Plan.Number("enter") + len(l.Plan.Before), Keep: listener + 1, Before: l.before, Give: l.give, Later: later, Hold: l.held()}
	if later == 0 {
		for _, t := range l.Host.Tasks {
			enter.Tasks = append(enter.Tasks, p.Inherit(t))
		}
	}
	for _, f := range joined {
		fd := -1
		if f != nil {
			fd = p.Inherit(f)
		}
		enter.Joined = append(enter.Joined, fd)
	}
	if !l.Plan.Namespaces.Direct() {
		done, err := l.inheritBuilder(&enter, later)
		if err != nil {
			return err
		}
		defer done()
	}
	if l.points, err = l.Plan.Namespaces.Lower(enter); err != nil {
		return err
	}
	if err := l.lowerProcess(listener); err != nil {
		return err
	}
	return l.fork(later)
}

// later is how many tasks files init can be given after its birth: one for each hierarchy,
// if all are of version 1 (a version 2 group is joined at birth) and none can be left out.
func (l *launch) later() int {
	if l.Input.Options.Rootless || len(l.Plan.Host) == 0 {
		return 0
	}
	n := 0
	for _, c := range l.Input.Cgroups {
		switch {
		case c.Name != "":
			n++
		case !l.held():
			return 0
		}
	}
	return n
}

// held reports whether init waits for its cgroups to be made: systemd makes them, and only
// for a process that lives.
func (l *launch) held() bool { return l.Input.Unit.Name != "" }

// sendTasks gives init the tasks files, by which it joins its cgroups.
func (l *launch) sendTasks(n int) error {
	if len(l.Host.Tasks) != n || l.Host.CgroupFD != nil {
		return fmt.Errorf("bug in ocirt: %d cgroups to join, not %d", len(l.Host.Tasks), n)
	}
	fds := make([]int, 0, n)
	for _, t := range l.Host.Tasks {
		fds = append(fds, int(t.Fd()))
	}
	err := linux.Send(l.sock, []byte{1}, fds)
	closeFiles(l.Host.Tasks)
	l.Host.Tasks = nil
	if err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("cannot speak to init: %w", err)
	}
	return nil // a peer that has gone is noticed by the next receive
}

// fork starts the program.
func (l *launch) fork(later int) error {
	attr := &syscall.SysProcAttr{Cloneflags: l.Plan.Namespaces.CloneFlags()}
	if later == 0 && l.Host.CgroupFD != nil && l.Plan.Namespaces.Direct() {
		attr.UseCgroupFD, attr.CgroupFD = true, int(l.Host.CgroupFD.Fd())
	}
	pid, err := l.program.Start(l.Files, attr)
	if err != nil {
		return l.explain("", fmt.Errorf("cannot start init: %w", err))
	}
	l.pids = append(l.pids, pid)
	if later == 0 {
		closeFiles(l.Host.Tasks)
		l.Host.Tasks = nil
	}
	return nil
}

// before lowers the steps that are done with the host's privileges.
func (l *launch) before(p *entry.Program) error {
	return lower(&step.Init{Program: p, Input: l.Input}, l.Plan.Number("enter"), l.Plan.Before)
}

// give lets the steps of the sandbox section write the calls that only init can make. The
// order of the slots is that of the steps.
func (l *launch) give(p *entry.Program, proc ns.OpenProc) (slots []entry.Slot, err error) {
	for i, e := range l.Plan.Sandbox {
		g, ok := e.Step.(step.Giver)
		if !ok {
			continue
		}
		n := l.Plan.Number("sandbox") + i
		p.SetStep(n)
		var s []entry.Slot
		if of, ok := g.(step.ProcGiver); ok && proc != nil {
			s, err = of.GiveProc(p, func(words string) entry.Slot { return proc(words, n) })
		} else {
			s, err = g.Give(p)
		}
		if err != nil {
			return nil, &step.Error{Step: e.Step.String(), From: e.From, Where: "host", Err: err}
		}
		slots = append(slots, s...)
	}
	p.SetStep(-1)
	return slots, nil
}

// lowerProcess writes the process section.
func (l *launch) lowerProcess(listener int) error {
	in := &step.Init{
		Program: l.program, Input: l.Input, Listener: listener,
		Cwd: l.points.Cwd, Console: l.points.Console,
		Home: l.points.Payload, Exec: l.points.Payload + step.HomeSize,
	}
	if err := lower(in, l.Plan.Number("process"), l.Plan.Process); err != nil {
		return err
	}
	l.ready, l.points.Forked = in.Find(plan.ReadyLabel), in.Find(plan.EnteredLabel)
	l.handOver = newHandOver(l.program, l.Agent)
	return nil
}

// lower lets steps write their calls. The first has number first.
func lower(in *step.Init, first int, entries []step.Entry) error {
	for i, e := range entries {
		in.SetStep(first + i)
		s, ok := e.Step.(step.ProcessStep)
		if !ok {
			return fmt.Errorf("bug in ocirt: step %d is a %T", first+i, e.Step)
		}
		if err := s.Lower(in); err != nil {
			return &step.Error{Step: e.Step.String(), From: e.From, Where: "host", Err: err}
		}
	}
	in.SetStep(-1)
	return nil
}

// init is the pid of the process that is, or will be, the container's first.
func (l *launch) init() int { return l.pids[len(l.pids)-1] }

// abort kills and reaps what was started, and adds to the error how init ended if it ended
// by itself. Killing a child that has gone is not an error, and it cannot hit another
// process: only we can reap it.
func (l *launch) abort(cause error) error {
	l.drain()
	for i, pid := range l.pids {
		var ws unix.WaitStatus
		gone, options := i == len(l.pids)-1 && errors.Is(cause, errGone), unix.WNOHANG
		if gone {
			options = 0 // it is on its way out, and how that came is worth the moment
		}
		if reaped, _ := unix.Wait4(pid, &ws, options, nil); reaped == pid {
			if gone {
				cause = fmt.Errorf("%w: %s", cause, how(ws))
				if why := plan.Killer(l.Input, l.program.Calls()); why != "" && ws.Signal() == unix.SIGSYS {
					cause = fmt.Errorf("%w: %s", cause, why)
				}
			}
			continue
		}
		_ = unix.Kill(pid, unix.SIGKILL)
		reap(pid)
	}
	l.pids = nil
	return cause
}

// drain ends the conversation: it tells our children that nobody will answer, upon which
// each ends by itself, kills those that are known, and learns of the ones that were forked
// meanwhile. It returns when the last of them has closed its end of the socket.
func (l *launch) drain() {
	_ = unix.Shutdown(l.sock, unix.SHUT_WR)
	if l.wire >= 0 {
		unix.Close(l.wire)
		l.wire = -1
	}
	for {
		for _, pid := range l.pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		r, files, err := l.receive()
		if err != nil {
			return
		}
		closeFiles(files)
		if l.tellsPid(r) && l.isNew(int(r.Value)) {
			l.pids = append(l.pids, int(r.Value))
		}
	}
}

// how says how a process ended.
func how(ws unix.WaitStatus) string {
	switch {
	case ws.Signaled():
		return fmt.Sprintf("killed by signal %d (%v)", ws.Signal(), ws.Signal())
	case ws.Exited():
		return fmt.Sprintf("exit status %d", ws.ExitStatus())
	}
	return "unknown end"
}

func (l *launch) close() {
	for _, fd := range []int{l.sock, l.wire} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	l.handOver.close()
	closeFiles(l.Host.Tasks)
	closeFiles([]*os.File{l.Host.CgroupFD, l.cgroups})
	l.Host.Tasks, l.Host.CgroupFD = nil, nil
	for _, files := range l.opened {
		closeFiles(files)
	}
	if l.master != nil {
		l.master.Close()
	}
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
