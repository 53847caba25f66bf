package ns

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// Rejoin writes the calls with which a further process enters the namespaces of a container
// whose init pidfd is of, all at once; the kernel takes the user namespace first. The pid
// namespace is entered by the next fork, see Fork. Pid is init's, to be looked at now.
func (s *Set) Rejoin(p *entry.Program, pidfd, pid int) {
	flags := s.newFlags()
	for _, j := range s.Join {
		// The kernel refuses to join the user namespace that one is in (EINVAL).
		if j.Kind.Flag != unix.CLONE_NEWUSER || !sameUser(pid) {
			flags |= j.Kind.Flag
		}
	}
	if flags&unix.CLONE_NEWUSER != 0 {
		dropGroups(p)
	}
	if flags != 0 {
		p.Call(unix.SYS_SETNS, pidfd, flags).Label(RejoinLabel)
	}
	p.Call(unix.SYS_CLOSE, pidfd).Label("close init's descriptor")
	if flags&unix.CLONE_NEWUSER != 0 {
		s.becomeGroup(p)
		s.becomeUser(p)
	}
}

// RejoinLabel is the label of the call that fails with ESRCH when init has ended.
const RejoinLabel = "join the container's namespaces"

// Fork writes a fork of which the child goes on, as a child of ocirt like its parent, which
// ends. It is told of by a record under the label reported, whose value is the child's pid.
func Fork(p *entry.Program, label, reported string) {
	note := p.Note()
	flags := unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID | int(unix.SIGCHLD)
	p.Call(unix.SYS_CLONE, cloneArgs(flags, entry.Addr(note.Value))...).Label(label).Fork(func(p *entry.Program) {
		p.TellNote(reported, note)
		p.Exit(0)
	})
}

// ForkInto is Fork into the cgroup v2 group of a descriptor: a process that is born in a
// group takes no lock that the whole host shares.
func ForkInto(p *entry.Program, cgroup int, label, reported string) {
	note := p.Note()
	// struct clone_args; CLONE_PARENT gives the child its parent's signal.
	const size = 88
	args := p.Words(unix.CLONE_PARENT|unix.CLONE_PARENT_SETTID|unix.CLONE_INTO_CGROUP, 0, 0,
		uint64(note.Value), 0, 0, 0, 0, 0, 0, uint64(cgroup))
	p.Call(unix.SYS_CLONE3, args, size).Label(label).Fork(func(p *entry.Program) {
		p.TellNote(reported, note)
		p.Exit(0)
	})
}

// sameUser reports whether a process is in our own user namespace. Where it may not be
// looked at it is not.
func sameUser(pid int) bool {
	var a, b unix.Stat_t
	path := fmt.Sprintf("/proc/%d/ns/user", pid)
	return unix.Stat(path, &a) == nil && unix.Stat("/proc/self/ns/user", &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}
