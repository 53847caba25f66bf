package launch

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// program writes what the process does to itself.
func (r *JoinRequest) program(report *os.File) (*entry.Program, error) {
	p := &entry.Program{}
	p.SetFallbackDir(r.Dir)
	p.FirstFile(r.Input.KeepFDs())
	p.ReportTo(p.Inherit(report)) // the first: see plan.EnterPIDNamespace
	pidfd := p.Inherit(r.Pidfd)
	in := &step.Init{Program: p, Input: r.Input, Listener: -1}
	if err := lower(in, r.Plan.Number("enter"), r.Plan.Before); err != nil {
		return nil, err
	}
	// Before anything of the container's can see the process.
	p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0).Label("become non-dumpable")
	r.cgroups(p)
	p.Call(unix.SYS_SETSID).Label("begin a session").May(unix.EPERM)
	r.enter(in, pidfd)
	if r.Hook == nil {
		in.Home, in.Exec = p.String(r.Home), p.String(r.Exec)
	}
	if err := lower(in, r.Plan.Number("process"), r.Plan.Process); err != nil {
		return nil, err
	}
	if h := r.Hook; h != nil {
		p.Call(unix.SYS_EXECVE, p.String(h.Path), p.Strings(h.Args), p.Strings(h.Env)).Label("execute " + h.Path)
	}
	return p, nil
}

// cgroups writes the calls that join the container's groups.
func (r *JoinRequest) cgroups(p *entry.Program) {
	zero := p.String("0")
	for _, t := range r.Tasks {
		fd := p.Inherit(t)
		p.Call(unix.SYS_WRITE, fd, zero, 1).Label(JoinCgroup)
		p.Call(unix.SYS_CLOSE, fd).Label("close a tasks file")
	}
	if r.Place != nil {
		p.Tell(awaitPlace)
		p.Wait("wait for a cgroup")
	}
	if r.CgroupFD == nil {
		return
	}
	// By the program, not by what starts it: a group that is being frozen would stop the
	// process before its first instruction, and ocirt waits for that one with a thread
	// that the Go runtime believes to be busy.
	fd := p.Inherit(r.CgroupFD)
	ns.ForkInto(p, fd, JoinCgroup, reportCgroup)
	p.Call(unix.SYS_CLOSE, fd).Label("close the cgroup")
}

// enter writes the calls that enter the namespaces, and open the working directory there.
func (r *JoinRequest) enter(in *step.Init, pidfd int) {
	p := in.Program
	r.Plan.Namespaces.Rejoin(p, pidfd, r.Input.Join.Pid)
	root := "/" // where the kernel has put the process
	if !r.Plan.Namespaces.Mount() {
		root = r.Input.Bundle.RootPath()
	}
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	in.Cwd = p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String(root), flags, 0).Label("open the container's root").Keep()
	if r.Hook == nil {
		in.Cwd = workingDirectory(in, in.Cwd)
	}
}

// workingDirectory writes the calls that open it inside the root. No link of a procfs is
// followed, so that it cannot be one of a descriptor or of another process
// (CVE-2024-21626). A file system in user space, or one over the network, may show nothing
// to root; then the user may enter it.
func workingDirectory(in *step.Init, root entry.Slot) entry.Slot {
	p, proc := in.Program, in.Input.Process
	// Not close-on-exec, so that the flag's absence, a zero, says that it is open. All
	// descriptors are marked, or closed, before the container sees the process.
	how := p.Words(unix.O_PATH|unix.O_DIRECTORY, 0, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	const howSize = 24
	path := p.String(proc.Cwd)
	dir := p.Slot(-1)
	open := func() *entry.Call {
		return p.Call(unix.SYS_OPENAT2, root, path, how, howSize).Label(OpenDirectory).KeepIn(dir)
	}
	open().May(unix.EACCES, unix.EPERM)
	p.Call(unix.SYS_FCNTL, dir, unix.F_GETFD, 0).May(unix.EBADF).Fork(func(p *entry.Program) {
		// Passed over unless there is no directory yet.
		p.Call(unix.SYS_SETFSGID, proc.User.GID)
		p.Call(unix.SYS_SETFSUID, proc.User.UID)
		open()
		p.Call(unix.SYS_SETFSUID, 0)
		p.Call(unix.SYS_SETFSGID, 0)
	})
	return dir
}
