package launch

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// A JoinRequest is a further process in a container whose init exists.
type JoinRequest struct {
	Input    *step.Input
	Plan     *plan.Plan // its Process section is what makes the process the container's, and closes what is not
	Pidfd    *os.File   // of init
	Tasks    []*os.File // cgroup v1 tasks files
	CgroupFD *os.File   // the version 2 group
	Files    [3]*os.File
	Dir      string // as in Request

	// What is executed: a path in the container, with exactly this environment.
	Path string
	Args []string
	Env  []string
}

// Join starts a further process in a container, and returns its pid when it has executed
// its program. If it returns an error, no process is left.
func Join(r JoinRequest) (pid int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("cannot make the socket to a process: %w", err)
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "process")
	p, forked, err := r.program(theirs)
	if err != nil {
		theirs.Close()
		return 0, err
	}
	attr := &syscall.SysProcAttr{}
	if r.CgroupFD != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(r.CgroupFD.Fd())
	}
	pid, err = p.Start(r.Files[:], attr)
	theirs.Close()
	if err != nil {
		return 0, fmt.Errorf("cannot start a process: %w", err)
	}
	first := pid
	for {
		b, _, err := linux.Receive(pair[0], entry.RecordSize, 0)
		rec, ok := entry.ParseRecord(b)
		switch {
		case err != nil:
		case len(b) == 0:
			reap(first, pid)
			return pid, nil
		case !ok:
			err = fmt.Errorf("bug in ocirt: a process sent %d bytes", len(b))
		case rec.Errno != 0:
			label, _ := p.Describe(rec.Call)
			err = &step.Fault{Op: label, Errno: rec.Errno}
		case rec.Call == forked:
			pid = int(rec.Value)
		}
		if err != nil {
			_ = unix.Kill(pid, unix.SIGKILL)
			reap(first, 0)
			if pid != first {
				reap(pid, 0)
			}
			return 0, err
		}
	}
}

// reap waits for a child that ends, unless it is the one that goes on.
func reap(pid, except int) {
	if pid == except {
		return
	}
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

// program writes what the process does to itself.
func (r *JoinRequest) program(report *os.File) (p *entry.Program, forked int, err error) {
	p = &entry.Program{}
	p.SetFallbackDir(r.Dir)
	p.ReportTo(p.Inherit(report))
	pidfd := p.Inherit(r.Pidfd)
	zero := p.String("0")
	for _, t := range r.Tasks {
		p.Call(unix.SYS_WRITE, p.Inherit(t), zero, 1).Label("join cgroup")
	}
	forked = r.Plan.Namespaces.Rejoin(p, pidfd)
	p.Call(unix.SYS_SETSID).Label("begin a session").May(unix.EPERM)
	root := p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String("/"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0).Label("open the container's root").Keep()
	in := &step.Init{Program: p, Input: r.Input, Cwd: root, Listener: -1}
	for i, e := range r.Plan.Process {
		p.SetStep(i + 1)
		s, ok := e.Step.(step.ProcessStep)
		if !ok {
			return nil, 0, fmt.Errorf("bug in ocirt: step %d is a %T", i+1, e.Step)
		}
		if err := s.Lower(in); err != nil {
			return nil, 0, err
		}
	}
	p.Call(unix.SYS_EXECVE, p.String(r.Path), p.Strings(r.Args), p.Strings(r.Env)).Label("execute " + r.Path)
	return p, forked, nil
}
