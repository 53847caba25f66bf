package ns

import (
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// Rejoin writes the calls with which a process enters all namespaces of a container that
// exists, through a pidfd of its init, and is born in its pid namespace. The kernel takes
// the user namespace first if it is among them (setns(2) with a pidfd, Linux 5.8). The
// process that goes on is told by its pid at the returned point, or is the one that was
// started if that is -1.
func (s *Set) Rejoin(p *entry.Program, pidfd int) (forked int) {
	p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0).Label("become non-dumpable")
	flags := s.newFlags()
	for _, j := range s.Join {
		if j.Kind.Flag != unix.CLONE_NEWUSER || !ownUserNamespace(j.Path) {
			flags |= j.Kind.Flag
		}
	}
	if flags != 0 {
		p.Call(unix.SYS_SETNS, pidfd, flags).Label("join the container's namespaces")
	}
	p.Call(unix.SYS_CLOSE, pidfd).Label("close init's descriptor")
	if flags&unix.CLONE_NEWUSER != 0 {
		s.becomeRoot(p)
	}
	if flags&(unix.CLONE_NEWPID|unix.CLONE_NEWTIME) == 0 {
		return -1
	}
	s.fork(p, unix.CLONE_PARENT|int(unix.SIGCHLD), "fork into the pid namespace", &forked, func(p *entry.Program) { p.Exit(0) })
	return forked
}

func ownUserNamespace(path string) bool {
	var a, b unix.Stat_t
	return unix.Stat(path, &a) == nil && unix.Stat("/proc/self/ns/user", &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}
