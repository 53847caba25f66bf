package ns

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// An OpenProc writes the calls that open a procfs, with words at the beginning of their
// labels, and returns the slot of what fsopen(2) makes. The calls that follow belong to the
// step with this number.
type OpenProc func(words string, step int) entry.Slot

// nobody is the user and group of who may own nothing.
const nobody = 65534

// procOf opens a procfs of a pid namespace that exists and may be hostile. A process that
// enters it can be taken hold of by any there that has CAP_SYS_PTRACE. So nobody enters: the
// namespace is an option of the file system since Linux 6.17. Before, it is that of the
// process that opens it: see send.
func (s *Set) procOf(e Enter, at *Points, pid int) OpenProc {
	p := e.Program
	return func(words string, number int) entry.Slot {
		fs := p.Call(unix.SYS_FSOPEN, p.String("proc"), unix.FSOPEN_CLOEXEC).Label(words + "fsopen").Keep()
		p.Call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_FD, p.String("pidns"), 0, pid).
			May(unix.EINVAL).Label(words + "fsconfig pidns").Fork(func(p *entry.Program) {
			// Passed over unless the kernel knows no such option.
			p.SetStep(s.pidStep(e)) // what fails here is a fault of the namespace's
			s.send(e, at, pid, fs)
			p.SetStep(number)
			// A stranger may have spoken for the helper: no other file system has this option.
			p.Call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_STRING, p.String("hidepid"), p.String("0"), 0).Label(words + "fsconfig hidepid")
		})
		return fs
	}
}

// send writes the calls by which a helper, a child, opens a procfs inside of a pid namespace
// and hands it over. It is opened, no more: to configure and mount it is left to this
// process. So the helper needs no capability but over its mounts, and has them, and itself,
// in a user namespace of its own: who takes hold of it has nothing. Its root is empty, it has
// no descriptor but the socket, and it is no user.
func (s *Set) send(e Enter, at *Points, pid int, fs entry.Slot) {
	p := e.Program
	p.Call(unix.SYS_CLOSE, fs).Label("close a procfs")
	pair := p.Bytes(make([]byte, 2*entry.SlotSize))
	ours, theirs := entry.Slot(pair), entry.Slot(pair+entry.SlotSize)
	p.Call(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0, pair).Label("make a socket to a helper")
	helper := p.Slot(0)
	var past *entry.Call
	p.Call(unix.SYS_CLONE, cloneArgs(int(unix.SIGCHLD), 0)...).Label("start a helper").KeepIn(helper).Fork(func(p *entry.Program) {
		p.Call(unix.SYS_CLOSE, theirs).Label("close the helper's socket")
		said, files := p.WaitFilesFrom(ours, "wait for a procfs", entry.RecordSize, 1)
		// If it is a failure, it is ours.
		p.Call(unix.SYS_SENDTO, p.Report(), said, entry.RecordSize, unix.MSG_NOSIGNAL, 0, 0).Label("pass on what the helper says")
		p.Call(unix.SYS_FCNTL, files[0], unix.F_DUPFD_CLOEXEC, 0).Label("take a procfs").KeepIn(fs)
		p.Call(unix.SYS_CLOSE, files[0]).Label("close a descriptor")
		p.Call(unix.SYS_CLOSE, ours).Label("close the socket to the helper")
		p.Call(unix.SYS_WAIT4, helper, 0, 0, 0).Label("wait for the helper")
		past = p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0).Label("stay non-dumpable") // zero: the helper's calls are passed over
	})
	past.Fork(func(p *entry.Program) {
		s.confine(p, pid, theirs)
		child := p.Slot(0)
		p.Call(unix.SYS_CLONE, cloneArgs(int(unix.SIGCHLD), 0)...).Label("fork into the pid namespace").KeepIn(child).Fork(func(p *entry.Program) {
			p.Call(unix.SYS_WAIT4, child, 0, 0, 0).Label("wait for the helper")
			p.Exit(0)
		})
		p.Call(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL)).Label("end with the helper")
		at.Opened = append(at.Opened, p.TellFiles("hand over a procfs", 1, func(files []entry.Slot) {
			p.Call(unix.SYS_FSOPEN, p.String("proc"), unix.FSOPEN_CLOEXEC).Label("open a procfs").KeepIn(files[0])
		}))
		p.Exit(0)
	})
}

// confine makes a helper one that may be taken hold of, and its children processes of the
// pid namespace. A kernel without user namespaces, or without one to spare, leaves it
// CAP_SYS_ADMIN over the host, in an empty root: without that nobody opens a procfs.
func (s *Set) confine(p *entry.Program, pid int, socket entry.Slot) {
	p.Call(unix.SYS_SETNS, pid, unix.CLONE_NEWPID).Label("join pid namespace")
	// The caller's keys are nobody's.
	p.Call(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0).May(unix.ENOSYS, unix.EPERM, unix.EDQUOT).Label("leave the session keyring")
	fs := p.Call(unix.SYS_FSOPEN, p.String("tmpfs"), unix.FSOPEN_CLOEXEC).Label("make an empty root").Keep()
	p.Call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_CMD_CREATE, 0, 0, 0).Label("make an empty root")
	root := p.Call(unix.SYS_FSMOUNT, fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY).Label("make an empty root").Keep()
	if !s.User() {
		p.Call(unix.SYS_SETGROUPS, 0, 0).May(unix.EPERM).Label("drop groups")
		p.Call(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1).Label("keep capabilities")
		p.Call(unix.SYS_SETRESGID, nobody, nobody, nobody).May(unix.EINVAL, unix.EPERM).Label("become nobody")
		p.Call(unix.SYS_SETRESUID, nobody, nobody, nobody).May(unix.EINVAL, unix.EPERM).Label("become nobody")
		onlyCapabilities(p, 1<<unix.CAP_SYS_ADMIN|1<<unix.CAP_SYS_CHROOT)
	}
	p.Call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER|unix.CLONE_NEWNS).
		May(unix.EPERM, unix.EINVAL, unix.ENOSPC, unix.EUSERS).Label("create namespaces for a helper")
	p.Call(unix.SYS_FCHDIR, root).Label("enter the empty root")
	p.Call(unix.SYS_CHROOT, p.String(".")).Label("enter the empty root")
	// Without CAP_SYS_CHROOT there is no way back to the mounts outside of that root, and in
	// a root that is not the namespace's no user namespace can be made to have it anew.
	onlyCapabilities(p, 1<<unix.CAP_SYS_ADMIN)
	// These are undone by a change of ids.
	p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0).Label("become non-dumpable")
	p.Call(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL)).Label("end with init")
	// What fails from here on is said to init.
	p.Call(unix.SYS_DUP3, socket, 0, unix.O_CLOEXEC).Label("keep the socket").KeepIn(p.Report())
	p.Call(unix.SYS_CLOSE_RANGE, 1, uint32(0xffffffff), 0).Label("close descriptors")
}

// onlyCapabilities writes the call that leaves a process no other than these, which it has.
func onlyCapabilities(p *entry.Program, set uint64) {
	ne := binary.NativeEndian
	head, data := make([]byte, 8), make([]byte, 24) // pid 0: the caller
	ne.PutUint32(head, unix.LINUX_CAPABILITY_VERSION_3)
	for half := range 2 {
		ne.PutUint32(data[12*half:], uint32(set>>(32*half)))   // effective
		ne.PutUint32(data[12*half+4:], uint32(set>>(32*half))) // permitted
	}
	p.Call(unix.SYS_CAPSET, p.Bytes(head), p.Bytes(data)).Label("give capabilities up")
}
