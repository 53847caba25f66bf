package ns

import (
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// unshare makes the namespaces that no other call makes. Of an inter-process communication
// namespace the root of the message queues is a file, which belongs to the maker.
func (s *Set) unshare(e Enter) {
	flags := s.newFlags() &^ (unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWTIME) &^ int(s.CloneFlags())
	if e.Builder != nil {
		flags &^= unix.CLONE_NEWCGROUP
	}
	if flags == 0 {
		return
	}
	p, uid := e.Program, rootOf(s.UIDs)
	p.SetStep(e.First + len(s.Join))
	if s.User() {
		p.Call(unix.SYS_SETFSUID, uid).Labelf("make files as user %d of the user namespace", uid)
		p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0).Label("become non-dumpable")
	}
	p.Call(unix.SYS_UNSHARE, flags).Label("create namespaces")
	if s.User() {
		// Any change makes the owner of files the effective user again, who has no name
		// here that could be said.
		p.Call(unix.SYS_SETRESUID, -1, -1, uid).Label("make files as the host's user")
		p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0).Label("become non-dumpable")
	}
}

// dropGroups gives up the host's supplementary groups while that can still be done: in the
// user namespace that is joined next it may be forbidden (user_namespaces(7), setgroups), and
// then the container's process would keep them.
func dropGroups(p *entry.Program) {
	p.Call(unix.SYS_SETGROUPS, 0, 0).Label("drop groups").May(unix.EPERM)
}

// becomeGroup takes the group of the user namespace's root, or the first there is if the
// maps leave root out. The user stays the host's until the cgroups are joined: the right to
// join them is the user's.
func (s *Set) becomeGroup(p *entry.Program) {
	gid := rootOf(s.GIDs)
	dropGroups(p)
	p.Call(unix.SYS_SETRESGID, gid, gid, gid).Labelf("become group %d of the user namespace", gid)
	// Changed ids reset it to the sysctl fs.suid_dumpable, which need not be 0.
	p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0).Label("become non-dumpable")
}

// becomeUser takes the user namespace's root, whose files the builder makes, or the first
// user there is.
func (s *Set) becomeUser(p *entry.Program) {
	if !s.User() {
		return
	}
	uid := rootOf(s.UIDs)
	p.Call(unix.SYS_SETRESUID, uid, uid, uid).Labelf("become user %d of the user namespace", uid)
	p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0).Label("become non-dumpable")
}

func (s *Set) makeUser(e Enter, at *Points) {
	if !s.makes(unix.CLONE_NEWUSER) {
		return
	}
	p := e.Program
	p.SetStep(e.First + len(s.Join))
	p.Call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER).Label("create user namespace")
	p.SetStep(e.First + len(s.Join) + 1)
	at.Maps = p.Tell("ask for id maps")
	p.Wait("wait for id maps")
	s.becomeGroup(p)
}
