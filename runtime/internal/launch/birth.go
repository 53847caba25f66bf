package launch

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/thread"
)

// birth does the steps of the host section and starts init. The kernel needs as long for
// init as for the cgroups, so both are made at once where init can be told of the groups
// later. Systemd makes them for a process that lives.
func (l *Launch) birth(later int) error {
	if later == 0 && !l.held() {
		if err := l.doHost(); err != nil {
			l.giveUp() // or the thread holds init's end of the socket, and abort waits for that
			return err
		}
	}
	started, host, sent := l.beginStart(), error(nil), false
	if later > 0 && !l.held() {
		if host = l.doHost(); host == nil && l.talks.Load() {
			l.aside.apply()
			host, sent = l.sendTasks(later), true // init finds them when it is there
		}
	}
	err := started()
	l.aside.apply()
	if err == nil && host == nil && later > 0 && !l.held() && !sent {
		host = l.sendTasks(later)
	}
	if l.held() && err == nil && l.Plan.Namespaces.Direct() {
		return l.doHeld()
	}
	if host != nil {
		return host
	}
	return err
}

// A beginning is the part of start that was begun before there is a container.
type beginning struct {
	yes    bool
	goOn   thread.Gate // with starting init, or not
	told   bool        // which it is
	gaveUp bool
}

// beginWriting lets the thread write the program, if all is known that the program will inherit: the
// tasks files are not, but where init gets them by message.
func (l *Launch) beginWriting() {
	named := func(c step.Cgroup) bool { return c.Name != "" }
	if l.Thread == nil || l.later() == 0 && !l.held() && slices.ContainsFunc(l.Input.Cgroups, named) {
		return
	}
	l.begun.yes, l.begun.goOn = true, thread.NewGate()
	l.beginOnThread()
}

// giveUp lets a thread that waits for us do so no longer, and returns when it does not.
func (l *Launch) giveUp() {
	if l.begun.yes && !l.begun.told {
		l.begun.told, l.begun.gaveUp = true, true
		l.begun.goOn.Open()
	}
	l.leave()
	l.Thread.Wait()
}

// beginStart lets start run beside this thread; started waits for its end.
func (l *Launch) beginStart() (started func() error) {
	if l.Thread == nil {
		done := make(chan error, 1)
		go func() { done <- l.start(nil) }()
		return func() error { return <-done }
	}
	if l.begun.yes {
		l.begun.told = true
		l.begun.goOn.Open()
	} else {
		l.beginOnThread()
	}
	return func() error { l.site.born.Wait(); return l.site.bornErr }
}

// doHost does the steps of the host section.
func (l *Launch) doHost() error {
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
func (l *Launch) doHeld() error {
	l.Host.Pid = l.init()
	if err := l.doHost(); err != nil {
		return err
	}
	return l.sendTasks(l.later())
}

// start writes the program and starts it, if the thread it runs on could make its namespaces.
func (l *Launch) start(made error) error {
	if made != nil {
		return l.explain("", fmt.Errorf("cannot start init: %w", made))
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot make the socket to init: %w", err)
	}
	l.sock = pair[0]
	l.talks.Store(true)
	theirs := os.NewFile(uintptr(pair[1]), "init")
	defer theirs.Close()
	p, later := &entry.Program{}, l.later()
	l.program = p
	p.FirstFile(l.Input.KeepFDs())
	p.ReportTo(p.Inherit(theirs))
	listener := p.Inherit(l.Listener)
	enter := ns.Enter{Program: p, First: l.Plan.Number("enter") + len(l.Plan.Before), Keep: listener + 1, Before: l.before, Give: l.give, Later: later, Hold: l.held()}
	if later == 0 && !l.begun.yes {
		for _, t := range l.Host.Tasks {
			enter.Tasks = append(enter.Tasks, p.Inherit(t))
		}
	}
	for _, f := range l.joined {
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
	if l.begun.yes {
		if l.begun.goOn.Wait(); l.begun.gaveUp {
			return errGivenUp
		}
		if later == 0 && len(l.Host.Tasks) > 0 {
			return fmt.Errorf("bug in ocirt: %d tasks files that the program does not know", len(l.Host.Tasks))
		}
	}
	return l.fork(later)
}

// later is how many tasks files init can be given after its birth: one for each hierarchy,
// if all are of version 1 (a version 2 group is joined at birth) and none can be left out.
func (l *Launch) later() int {
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
func (l *Launch) held() bool { return l.Input.Unit.Name != "" }

// sendTasks gives init the tasks files, by which it joins its cgroups.
func (l *Launch) sendTasks(n int) error {
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
func (l *Launch) fork(later int) error {
	l.program.SetFallbackDir(l.dir)
	attr := &syscall.SysProcAttr{Cloneflags: l.Plan.Namespaces.CloneFlags() &^ l.Plan.Namespaces.ThreadFlags()}
	if later == 0 && l.Host.CgroupFD != nil && l.Plan.Namespaces.Direct() {
		attr.UseCgroupFD, attr.CgroupFD = true, int(l.Host.CgroupFD.Fd())
	}
	if later > 0 && l.Thread != nil {
		defer l.aside.prepare(l.Input)()
	}
	pid, err := l.program.Start(l.Files, attr)
	l.aside.pid.Store(int32(max(pid, 0)))
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
