package lsm

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// An attribute is a file under /proc/PID/attr and what is written to it.
type attribute struct {
	path     string // from the folder of the process: "attr/apparmor/exec"
	fallback string // of older kernels; may be empty
	value    string
	back     string // what the file must begin with afterwards; empty: it must not be empty
}

// Labels of the calls of lower, by which Reword tells them apart.
const (
	labelProc = "check that /proc is a procfs"
	labelOpen = "open "
	labelSet  = "write "
	labelBack = "read back "
)

// name is what errors call the file. Podman knows the failure of a label by these words,
// quotes included.
func (a attribute) name() string { return "`/proc/thread-self/" + a.path + "`" }

// lower writes the calls that set the attribute and compare what the kernel took.
func (a attribute) lower(p *entry.Program) {
	fresh, proc := openProc(p)
	f := a.open(p, fresh, proc)
	p.Call(unix.SYS_WRITE, f, p.String(a.value), len(a.value)).Label(labelSet + a.name())
	want := []byte(a.back)
	buf := p.Bytes(make([]byte, len(want)+4))
	// A part of the text is enough, and an attribute that is not set is an error.
	p.Call(unix.SYS_PREAD64, f, buf, max(len(want), 1), 0).Label(labelBack + a.name())
	equal(p, buf, want, labelBack+a.name())
	for _, s := range []entry.Slot{f, proc, fresh} {
		p.Call(unix.SYS_CLOSE, s).May().Label("close a descriptor")
	}
}

// openProc writes the calls that open a procfs: one of init's own, detached, on which
// nothing can be mounted, and which shows only processes. A user namespace may not mount
// one when its /proc is partly masked; then it is the one that is mounted there, which is
// checked. In fresh is -1 unless it is init's own.
func openProc(p *entry.Program) (fresh, proc entry.Slot) {
	fresh, proc = p.Slot(-1), p.Slot(-1)
	const path = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String("/proc"), path, 0).May().Label("open /proc").KeepIn(proc)
	fs := p.Call(unix.SYS_FSOPEN, p.String("proc"), unix.FSOPEN_CLOEXEC).May().Label("make a procfs").Keep()
	p.Call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_STRING, p.String("subset"), p.String("pid"), 0).May().Label("make a procfs")
	p.Call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_CMD_CREATE, 0, 0, 0).May().Label("make a procfs")
	const attr = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	p.Call(unix.SYS_FSMOUNT, fs, unix.FSMOUNT_CLOEXEC, attr).May().Label("make a procfs").KeepIn(fresh)
	p.Call(unix.SYS_CLOSE, fs).May().Label("close a descriptor")
	p.Call(unix.SYS_FCNTL, fresh, unix.F_DUPFD_CLOEXEC, 3).May().Label("duplicate a descriptor").KeepIn(proc)
	isProc(p, proc)
	return fresh, proc
}

// isProc writes the calls that fail if a handle is not the root of a procfs, by its magic
// number and the inode that the root of every procfs has (include/linux/proc_ns.h).
func isProc(p *entry.Program, f entry.Slot) {
	const statfsSize, statxSize, statxIno = 256, 256, 32
	ne := binary.NativeEndian
	buf := p.Bytes(make([]byte, statfsSize))
	p.Call(unix.SYS_FSTATFS, f, buf).Label(labelProc)
	// The type is the first word, of 32 bits on s390x and 64 elsewhere, where the byte
	// order is little.
	equal(p, buf, ne.AppendUint32(nil, unix.PROC_SUPER_MAGIC), labelProc)
	buf = p.Bytes(make([]byte, statxSize))
	p.Call(unix.SYS_STATX, f, p.String(""), unix.AT_EMPTY_PATH, unix.STATX_INO, buf).Label(labelProc)
	equal(p, buf+statxIno, ne.AppendUint64(nil, 1), labelProc)
}

// open writes the calls that open the attribute of init itself. What is opened later takes
// the place of what was opened before: the way that is right on this kernel comes last.
func (a attribute) open(p *entry.Program, fresh, proc entry.Slot) entry.Slot {
	f := p.Slot(-1)
	// An outer filter may not know openat2; below a mount on which nothing is mounted
	// there is nothing that it would refuse.
	p.Call(unix.SYS_OPENAT, fresh, p.String("thread-self/"+a.path), unix.O_RDWR|unix.O_CLOEXEC, 0).
		May().Label(labelOpen + a.name()).KeepIn(f)
	// thread-self is a link that the kernel makes up for who reads it, not a magic one.
	how := p.Words(unix.O_RDWR|unix.O_CLOEXEC, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV|unix.RESOLVE_NO_MAGICLINKS)
	const howSize = 24
	if a.fallback != "" {
		p.Call(unix.SYS_OPENAT2, proc, p.String("thread-self/"+a.fallback), how, howSize).
			May().Label(labelOpen + a.name()).KeepIn(f)
	}
	c := p.Call(unix.SYS_OPENAT2, proc, p.String("thread-self/"+a.path), how, howSize).
		May(unix.ENOSYS, unix.EPERM).Label(labelOpen + a.name()).KeepIn(f)
	if a.fallback != "" {
		c.May(unix.ENOENT)
	}
	return f
}

// equal writes the calls that fail with EAGAIN if init's memory at an address, which is
// aligned to four bytes, does not begin with want. A walker cannot compare, but the kernel
// does: FUTEX_CMP_REQUEUE, told to wake and move no one, only looks whether a word has a
// value (futex(2)).
func equal(p *entry.Program, at entry.Addr, want []byte, label string) {
	const cmpRequeue = 4 | 128 // FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG
	for i := 0; i < len(want); i += 4 {
		var word [4]byte
		copy(word[:], want[i:])
		p.Call(unix.SYS_FUTEX, at+entry.Addr(i), cmpRequeue, 0, 0, at+entry.Addr(i), binary.NativeEndian.Uint32(word[:])).Label(label)
	}
}

// reword says in better words what an errno of a call of lower means; empty if there are
// none.
func reword(label string, errno unix.Errno) string {
	switch {
	case label == labelProc:
		return "unsafe procfs: what is mounted on /proc is not the root of a procfs"
	case strings.HasPrefix(label, labelOpen) && (errno == unix.EXDEV || errno == unix.ELOOP):
		return "unsafe procfs: something is mounted over " + label[len(labelOpen):]
	case strings.HasPrefix(label, labelSet) && errno == unix.EBADF:
		return "cannot " + label + ": openat2 is needed, and not available"
	case strings.HasPrefix(label, labelBack):
		return "cannot " + label + ": the kernel did not take the label"
	}
	return ""
}
