// Package launch carries a plan out: it starts init, lets the builder build, serves what
// only the host can do, and waits until init is ready. It runs steps without knowing them.
package launch

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/thread"
)

// A Request is what Create needs.
type Request struct {
	Input    *step.Input
	Plan     *plan.Plan
	Host     *step.Host
	Files    []*os.File     // descriptors 0 to Input.KeepFDs()-1 of the container's process
	Listener *os.File       // the start socket; it listens when Create is called
	Agent    Agent          // gets the listener, if the container's filter has one that is loaded before start
	Thread   *thread.Thread // with the namespaces of Plan.Namespaces.ThreadFlags, if that is Direct

	// Born is told init's pid and how many calls its program has, if it is Direct, when there is
	// time: while the sandbox is built.
	Born func(pid, calls int)
	// Built is told init's pid when the sandbox is built, while init prepares itself, if the
	// pid is known by then. Nil: nothing is called.
	Built func(pid int)

	// Builder is the executable that builds where a thread cannot. See Serve. If it is to be
	// hidden, no process of a user namespace that is joined may trace it.
	Builder func(hidden bool) (*os.File, error)
}

// A Launch carries a plan out.
type Launch struct {
	Request
	dir       string     // see Create
	joined    []*os.File // the namespaces to join
	program   *entry.Program
	points    ns.Points
	ready     int // index of the call that reports readiness
	processor int // that init was on then
	sock      int // our end of the socket to init
	wire      int // our end of the socket to a builder process; -1 if a thread builds
	opened    openings
	pids      []int // of all children, init last
	master    *os.File
	cgroups   *os.File // the container's cgroup namespace, for a builder process
	sandbox   *step.Sandbox
	site      site
	aside     aside
	begun     beginning
	talks     atomic.Bool // sock is there

	handOver handOver
}

// Begin begins what has no side effects: with a thread, to write init's program. Create goes on
// with it; Close gives it up.
func Begin(r Request) (_ *Launch, err error) {
	l := &Launch{Request: r, sock: -1, wire: -1}
	if l.joined, err = r.Plan.Namespaces.OpenJoined(); err != nil {
		l.Close()
		return nil, &step.Error{Where: "host", Err: err}
	}
	l.beginWriting()
	return l, nil
}

// Create carries the plan out up to the point where init waits for start. If it returns an
// error, no process is left; what HostSteps made is the caller's to undo. Dir is for init's
// image where the host forbids executable memory files.
func (l *Launch) Create(dir string) (_ *Init, err error) {
	defer l.Close()
	l.dir = dir
	later := l.later()
	err = l.birth(later)
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
	if err := l.converse(); err != nil {
		return nil, err
	}
	l.reapOthers()
	init := &Init{Pid: l.init(), Master: l.master, Calls: l.program.Len(), Processor: l.processor, sock: l.sock, loans: l.Host.Loans, thread: l.Thread}
	l.master, l.sock, l.Thread = nil, -1, nil
	return init, nil
}

// before lowers the steps that are done with the host's privileges.
func (l *Launch) before(p *entry.Program) error {
	return lower(&step.Init{Program: p, Input: l.Input}, l.Plan.Number("enter"), l.Plan.Before)
}

// give lets the steps of the sandbox section write the calls that only init can make. The
// order of the slots is that of the steps.
func (l *Launch) give(p *entry.Program, proc ns.OpenProc) (slots []entry.Slot, err error) {
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
func (l *Launch) lowerProcess(listener int) error {
	in := &step.Init{
		Program: l.program, Input: l.Input, Listener: listener,
		Cwd: l.points.Cwd, Console: l.points.Console,
		Home: l.points.Payload, Exec: l.points.Payload + step.HomeSize, Ready: l.points.Processor,
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
func (l *Launch) init() int { return l.pids[len(l.pids)-1] }

// abort kills and reaps what was started, and adds to the error how init ended if it ended
// by itself. Killing a child that has gone is not an error, and it cannot hit another
// process: only we can reap it.
func (l *Launch) abort(cause error) error {
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
func (l *Launch) drain() {
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

// Close lets go of what Begin and Create have opened. It may be called twice.
func (l *Launch) Close() {
	l.giveUp()
	l.Thread.Close()
	closeFiles(l.joined)
	l.joined = nil
	l.closeSandbox()
	for _, fd := range []*int{&l.sock, &l.wire} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
	l.handOver.close()
	closeFiles(l.Host.Tasks)
	closeFiles([]*os.File{l.Host.CgroupFD, l.cgroups})
	l.Host.Tasks, l.Host.CgroupFD = nil, nil
	l.opened.close()
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
