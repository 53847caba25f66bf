package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A newcomer is a process of another container that comes into the hunter's pid namespace.
// It is never held for what it is on the way: it may have the capabilities of that
// container's program, and its root, where a file of the name mark is. One in a user
// namespace of its own has nothing over the hunter's.
type newcomer struct {
	h    *hunter
	pid  int
	dir  string
	sets uint64
	mark string
}

// newcomers returns the attack on one that may have the capabilities of sets, in
// hexadecimal digits.
func newcomers(h *hunter, sets, mark string) func(pid int) {
	may, err := strconv.ParseUint(sets, 16, 64)
	if err != nil {
		h.say("%q is no set of capabilities", sets)
	}
	return func(pid int) {
		n := newcomer{h: h, pid: pid, dir: "/proc/" + strconv.Itoa(pid), sets: may, mark: mark}
		held := n.hold()
		for range 4 {
			n.look()
		}
		if held && unix.PtraceDetach(pid) != nil {
			// It was killed meanwhile, and its end is its tracer's to take first.
			_, _ = unix.Wait4(pid, nil, unix.WALL, nil)
		}
	}
}

// hold stops the process where it is.
func (n *newcomer) hold() bool {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(n.pid), 0, 0, 0, 0)
	if errno != 0 {
		return false
	}
	if unix.PtraceInterrupt(n.pid) != nil {
		return true
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(n.pid, &ws, unix.WALL, nil); err != nil || !ws.Stopped() {
		return false
	}
	n.h.say("held a newcomer")
	return true
}

func (n *newcomer) look() {
	its, err := os.Readlink(n.dir + "/ns/user")
	mine, _ := os.Readlink("/proc/self/ns/user")
	if err != nil {
		return // it has gone
	}
	if its == mine {
		n.capabilities()
	}
	n.root()
	n.files()
}

func (n *newcomer) capabilities() {
	status, err := os.ReadFile(n.dir + "/status")
	if err != nil {
		return
	}
	for _, set := range []string{"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"} {
		if has := capabilities(status, set); has&^n.sets != 0 {
			n.h.say("a newcomer has %s %x, and may have %x", set, has, n.sets)
		}
	}
}

// root judges what the process has for a root. An empty one is of no use.
func (n *newcomer) root() {
	entries, err := os.ReadDir(n.dir + "/root/")
	if err != nil || len(entries) == 0 {
		return
	}
	for _, e := range entries {
		if e.Name() == n.mark {
			n.h.paths(n.dir)
			return
		}
	}
	n.h.say("a newcomer's root is another: it has %q", entries[0].Name())
}

// files takes the descriptors of the process: none may be a way to the host.
func (n *newcomer) files() {
	pidfd, err := unix.PidfdOpen(n.pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(pidfd)
	for fd := range 24 {
		got, err := unix.PidfdGetfd(pidfd, fd, 0)
		if err != nil {
			continue
		}
		path := "/proc/self/fd/" + strconv.Itoa(got)
		for _, up := range []string{"", "/..", "/../.."} {
			if _, err := os.Stat(path + up + n.h.canary); err == nil {
				n.h.say("saw the host through descriptor %d%s", fd, up)
			}
		}
		var st unix.Statfs_t
		if unix.Fstatfs(got, &st) == nil && st.Type == unix.PROC_SUPER_MAGIC {
			n.h.say("descriptor %d is of a procfs", fd)
		}
		unix.Close(got)
	}
}
