package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/wire"
)

// BuilderName is argv[0] of a builder process.
const BuilderName = "ocirt-builder"

// BuilderEnv names the descriptor of a builder's socket. It is believed only together with
// BuilderName and a socket that is there.
const BuilderEnv = "_OCIRT_BUILDER"

// inheritBuilder makes the socket to the builder, and lets the program turn one of its
// processes into it, which is in no group of the container's.
func (l *Launch) inheritBuilder(enter *ns.Enter, later int) (done func(), err error) {
	if err := l.inheritGroup(enter, later); err != nil {
		return nil, err
	}
	proc, err := l.inheritProc(enter)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			closeFiles([]*os.File{proc})
		}
	}()
	exe, err := l.Builder(l.Plan.Namespaces.JoinsUser())
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		exe.Close()
		return nil, fmt.Errorf("cannot make the socket to the builder: %w", err)
	}
	l.wire = pair[0]
	theirs := os.NewFile(uintptr(pair[1]), "builder")
	sock, exeFD := enter.Program.Inherit(theirs), enter.Program.Inherit(exe)
	enter.BuilderFiles = []int{sock, exeFD}
	enter.Builder = func(p *entry.Program) {
		// Of all that was inherited the builder gets its socket alone: it closes what
		// comes before, and execve what comes after.
		if sock > 3 {
			p.Call(unix.SYS_CLOSE_RANGE, 3, sock-1, 0).Label("close descriptors")
		}
		p.Call(unix.SYS_FCNTL, exeFD, unix.F_SETFD, unix.FD_CLOEXEC).Label("mark the builder's executable")
		p.Call(unix.SYS_EXECVEAT, exeFD, p.String(""), p.Strings([]string{BuilderName}),
			p.Strings([]string{BuilderEnv + "=" + strconv.Itoa(sock)}), unix.AT_EMPTY_PATH).Label("execute the builder")
	}
	return func() { closeFiles([]*os.File{proc, theirs, exe}) }, nil
}

// inheritProc gives the program a way to open its cgroup namespace, whatever it will have
// for a root.
func (l *Launch) inheritProc(enter *ns.Enter) (*os.File, error) {
	if !l.Plan.Namespaces.GivesCgroupNS() {
		return nil, nil
	}
	proc, err := linux.OpenAt(nil, "/proc", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err == nil {
		enter.Proc = enter.Program.Inherit(proc)
	}
	return proc, err
}

// inheritGroup gives the program what it needs to let init alone join the version 2 group.
func (l *Launch) inheritGroup(enter *ns.Enter, later int) error {
	if later > 0 || l.Host.CgroupFD == nil {
		return nil
	}
	if l.Plan.Namespaces.BirthInto(l.groupsOwned()) {
		enter.Group = enter.Program.Inherit(l.Host.CgroupFD)
		return nil
	}
	procs, err := linux.OpenAt(l.Host.CgroupFD, "cgroup.procs", unix.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("cannot join the container's cgroup: %w", err)
	}
	l.Host.Tasks = append(l.Host.Tasks, procs)
	enter.Tasks = append(enter.Tasks, enter.Program.Inherit(procs))
	return nil
}

// groupsOwned reports whether this process's user may put a process into the version 2 group
// as the owner of it and of all above it, without any capability.
func (l *Launch) groupsOwned() bool {
	if l.Input.Facts.EUID != 0 {
		return true // an ordinary user has no other right
	}
	for _, c := range l.Input.Cgroups {
		if c.Name != "" {
			continue
		}
		for dir := c.Path; len(dir) >= len(c.Mount); dir = path.Dir(dir) {
			var st unix.Stat_t
			if err := unix.Stat(dir+"/cgroup.procs", &st); err != nil || st.Uid != 0 {
				return false
			}
		}
	}
	return true
}

// errNoBuilder is the answer to a program that imports the library and forgot Init.
var errNoBuilder = errors.New("the builder ended before it said anything: a program that makes containers with user namespaces must call runtime.Init first in main, or name an installed ocirt with runtime.WithBuilder")

// buildRemote is ocirt's side of the conversation with a builder in another process. If the
// call is given up the builder hears so, which may be waiting for a hook, and has the time
// to kill it.
func (l *Launch) buildRemote() error {
	ctx := l.Host.Context
	if ctx == nil {
		return l.talk()
	}
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = unix.Shutdown(l.wire, unix.SHUT_WR)
		close(told)
	})
	err := l.talk()
	if !stop() {
		<-told // or it would shut down what comes to have this number
	}
	var known *step.Error
	if err != nil && ctx.Err() != nil && !errors.As(err, &known) {
		return &step.Error{Where: "builder", Err: context.Cause(ctx)} // the rest is the broken pipe
	}
	return err
}

// talk is the conversation.
func (l *Launch) talk() error {
	m, err := wire.Receive(l.wire)
	if errors.Is(err, wire.ErrGone) || err == nil && m.Kind != wire.Hello {
		return errNoBuilder
	}
	if err != nil {
		return err
	}
	if err := l.begin(); err != nil {
		return fmt.Errorf("cannot speak to the builder: %w", err)
	}
	last := 0
	for {
		m, err := wire.Receive(l.wire)
		if errors.Is(err, wire.ErrGone) {
			return errors.New("the builder ended before it was done")
		}
		if err != nil {
			return err
		}
		switch m.Kind {
		case wire.Log:
			l.Host.Warn("%s", m.Text)
		case wire.Ask:
			if m.Step <= last {
				return fmt.Errorf("bug in ocirt: the builder asks for step %d after %d", m.Step, last)
			}
			last = m.Step
			err = l.answer(m.Step)
		case wire.Failed:
			return l.remoteFault(m)
		case wire.Built:
			if err = l.doTail(); err == nil {
				return l.found(m)
			}
		default:
			err = fmt.Errorf("bug in ocirt: the builder sent message %d", m.Kind)
		}
		if err != nil {
			closeFiles(m.Files)
			return err
		}
	}
}

// begin sends the input, the files that were opened for steps, and the word to go.
func (l *Launch) begin() error {
	config, err := memoryFile("config.json", l.Input.Bundle.Raw)
	if err != nil {
		return err
	}
	defer config.Close()
	err = wire.Send(l.wire, wire.Message{Kind: wire.Begin, Text: wire.EncodeInput(l.Input), Files: []*os.File{config}})
	if err != nil {
		return err
	}
	for i := range l.Plan.Sandbox {
		files := l.opened.take(i)
		if len(files) == 0 {
			continue
		}
		if err := wire.Send(l.wire, wire.Message{Kind: wire.Begin, Step: i + 1, Files: files}); err != nil {
			return err
		}
		closeFiles(files)
	}
	if l.cgroups != nil {
		if err := wire.Send(l.wire, wire.Message{Kind: wire.Begin, Step: cgroupNS, Files: []*os.File{l.cgroups}}); err != nil {
			return err
		}
	}
	pid := l.init()
	if l.points.Forked >= 0 {
		pid = 0 // init is not born yet
	}
	return wire.Send(l.wire, wire.Message{Kind: wire.Begin, Step: wordToGo, Errno: unix.Errno(pid)})
}

// What stands for the number of a step in a message that begins the building.
const (
	wordToGo = -1 // the last one
	cgroupNS = -2 // brings the cgroup namespace
)

// answer does a step of the sandbox section that is the host's.
func (l *Launch) answer(n int) error {
	if n < 1 || n > len(l.Plan.Sandbox) {
		return fmt.Errorf("bug in ocirt: the builder asks for step %d", n)
	}
	e := l.Plan.Sandbox[n-1]
	s, ok := e.Step.(step.HostStep)
	if !ok {
		return fmt.Errorf("bug in ocirt: the builder asks for %q", e.Step)
	}
	l.Host.Pid = l.init()
	if err := s.Do(l.Host); err != nil {
		return &step.Error{Step: e.Step.String(), From: e.From, Where: "host", Err: err}
	}
	return wire.Send(l.wire, wire.Message{Kind: wire.Answer, Step: n})
}

// hostTail is the number of the first step that the builder is not needed for: from there on
// all are the host's.
func hostTail(sandbox []step.Entry) int {
	n := len(sandbox)
	for ; n > 0; n-- {
		if _, ok := sandbox[n-1].Step.(step.HostStep); !ok {
			break
		}
	}
	return n
}

// doTail does the last of the host's steps.
func (l *Launch) doTail() error {
	l.Host.Pid = l.init()
	for _, e := range l.Plan.Sandbox[hostTail(l.Plan.Sandbox):] {
		if s, ok := e.Step.(step.HostStep); ok {
			if err := s.Do(l.Host); err != nil {
				return &step.Error{Step: e.Step.String(), From: e.From, Where: "host", Err: err}
			}
		}
	}
	return nil
}

func (l *Launch) remoteFault(m wire.Message) error {
	out := &step.Error{Where: "builder", Err: &step.Fault{Errno: m.Errno, Text: m.Text}}
	if m.Step >= 1 && m.Step <= len(l.Plan.Sandbox) {
		e := l.Plan.Sandbox[m.Step-1]
		out.Step, out.From = e.Step.String(), e.From
	}
	return out
}

// found takes what the builder found, and hands it to init. The builder ends by itself;
// it is reaped here, so that no zombie is left to whoever inherits our children.
func (l *Launch) found(m wire.Message) error {
	defer func() { closeFiles(m.Files) }()
	d := wire.NewDecoder([]byte(m.Text))
	b := &step.Sandbox{Home: d.String(), Exec: d.String()}
	terminal := d.Bool()
	if err := d.End(); err != nil || len(m.Files) != 1 && (!terminal || len(m.Files) != 3) {
		return errors.New("bug in ocirt: the builder sent something else")
	}
	b.Cwd = m.Files[0]
	if terminal {
		b.Console, l.master = m.Files[1], m.Files[2]
		m.Files = m.Files[:2]
	}
	if err := l.send(b); err != nil {
		return err
	}
	return nil
}

// reapOthers waits for the processes that are not init: builder and helpers, which end by
// themselves once their part is done.
func (l *Launch) reapOthers() {
	for _, pid := range l.pids[:len(l.pids)-1] {
		for {
			if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
				break
			}
		}
	}
	l.pids = l.pids[len(l.pids)-1:]
}

// memoryFile is a sealed file in memory with this content.
func memoryFile(name string, b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("cannot make a memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(b); err != nil {
		f.Close()
		return nil, err
	}
	if err := entry.Seal(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot seal a memory file: %w", err)
	}
	return f, nil
}
