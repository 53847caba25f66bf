// Command hunter is a hostile first process of a container: it watches for processes that
// join the container, and tries to take hold of each before it executes its program. What
// it gets is a line on its standard output; "hunting" is the first.
//
//	hunter CANARY [privileged]
//
// Canary is a path on the host. Privileged is a hunter with CAP_SYS_PTRACE over those who
// join: the kernel lets it in, and what counts is what it finds there.
//
//	hunter CANARY newcomers SETS MARK
//
// This is a hunter with CAP_SYS_PTRACE in a pid namespace in which another container is
// made: see newcomer.
//
//	hunter old COMMAND...
//
// This hunts nothing: see old.
//
// What belongs here: attempts. What does not: judging, but for what no process of a
// container may ever have.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// imageAt is where the sealed image of a joining process has its walker: programs of the
// container lie elsewhere.
const imageAt = 0x10000200

type hunter struct {
	canary     string
	privileged bool
	self       int
	told       map[string]bool
	tries      int
	kept       []int // handles of programs, to be opened for writing later
}

func main() {
	runtime.LockOSThread() // tracees belong to a thread
	if os.Args[1] == "old" {
		fmt.Fprintln(os.Stderr, old(os.Args[2:]))
		os.Exit(1)
	}
	h := &hunter{canary: os.Args[1], privileged: len(os.Args) > 2, self: os.Getpid(), told: map[string]bool{}}
	attack := h.attack
	if len(os.Args) > 4 {
		attack = newcomers(h, os.Args[3], os.Args[4])
	}
	fmt.Println("hunting")
	last := h.self
	for {
		found := false
		for pid := last + 1; pid < last+24; pid++ {
			if h.exists(pid) {
				found, last = true, pid
				attack(pid)
			}
		}
		if !found && h.wrapped(last) {
			last = h.self
		}
	}
}

// wrapped reports whether pids have begun anew.
func (h *hunter) wrapped(last int) bool {
	h.tries++
	if h.tries%4096 != 0 {
		return false
	}
	_, err := os.Stat("/proc/" + strconv.Itoa(last))
	return err != nil && last > 30000
}

// exists reports whether this is a process: our own threads are none.
func (h *hunter) exists(pid int) bool { return unix.Tgkill(pid, pid, 0) != unix.ESRCH }

// say tells of something once.
func (h *hunter) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !h.told[text] {
		h.told[text] = true
		fmt.Println(text)
	}
}

func (h *hunter) attack(pid int) {
	dir := "/proc/" + strconv.Itoa(pid)
	for range 40 {
		if !h.exists(pid) {
			return
		}
		h.seize(pid)
		h.program(dir)
		h.memory(dir)
		h.paths(dir)
		h.files(pid, dir)
		h.texts(dir)
		if to, err := os.Readlink(dir + "/exe"); err == nil && ours(to) {
			return // it is the container's program now
		}
	}
	h.rewrite()
}

// ours reports whether a file is one of the container's.
func ours(path string) bool { return path == "/inside" || path == "/hunter" || path == "/bin/busybox" }

// seize attaches to the process and stops it where it is: before its execve if its memory is
// still that of the image. (In the midst of execve, once its memory is the program's, the
// kernel lets in whom it will let in afterwards.)
func (h *hunter) seize(pid int) {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0)
	if errno != 0 || unix.PtraceInterrupt(pid) != nil {
		return
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(pid, &ws, unix.WALL, nil); err != nil || !ws.Stopped() {
		return
	}
	var b [8]byte
	if n, err := unix.PtracePeekData(pid, imageAt, b[:]); err == nil && n > 0 && !h.privileged {
		h.say("stopped a process before its execve")
	}
	_ = unix.PtraceDetach(pid)
}

// program looks at what the process executes, and keeps it.
func (h *hunter) program(dir string) {
	fd, err := unix.Open(dir+"/exe", unix.O_PATH, 0)
	if err != nil {
		return
	}
	to, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil || ours(to) {
		unix.Close(fd)
		return
	}
	if !h.privileged || !strings.HasPrefix(to, "/memfd:ocirt-init") {
		h.say("got the program %s", to)
	}
	if len(h.kept) < 100 {
		h.kept = append(h.kept, fd)
		return
	}
	unix.Close(fd)
}

// rewrite tries to write to the programs that were kept.
func (h *hunter) rewrite() {
	for _, fd := range h.kept {
		for _, flags := range []int{unix.O_WRONLY, unix.O_RDWR, unix.O_WRONLY | unix.O_TRUNC} {
			w, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), flags, 0)
			if err != nil {
				continue
			}
			if n, err := unix.Write(w, []byte("#!/hunter\n")); err == nil && n > 0 {
				h.say("wrote to the program of a joining process")
			}
			unix.Close(w)
		}
	}
}

func (h *hunter) memory(dir string) {
	fd, err := unix.Open(dir+"/mem", unix.O_RDWR, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	b := make([]byte, 16)
	if n, err := unix.Pread(fd, b, imageAt); err == nil && n > 0 && !h.privileged {
		h.say("read the memory of a joining process by its file")
	}
}

// paths goes to the host by way of the process's directories.
func (h *hunter) paths(dir string) {
	for _, name := range []string{"/root", "/cwd"} {
		if _, err := os.Stat(dir + name + h.canary); err == nil {
			h.say("saw the host through %s", name)
		}
		// From a directory outside the canary can be below it or beside it.
		for _, up := range []string{"/..", "/../..", "/../../.."} {
			if _, err := os.Stat(dir + name + up + h.canary); err == nil {
				h.say("saw the host through %s%s", name, up)
			}
		}
		to, err := os.Readlink(dir + name)
		if err == nil && to != "/" && to != "/tmp" {
			h.say("%s leads to %s", name, to)
		}
	}
}

// files takes the descriptors of the process.
func (h *hunter) files(pid int, dir string) {
	links, _ := filepath.Glob(dir + "/fd/*")
	for _, l := range links {
		to, err := os.Readlink(l)
		if err == nil {
			h.file("descriptor", to, l)
		}
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(pidfd)
	for fd := range 24 {
		got, err := unix.PidfdGetfd(pidfd, fd, 0)
		if err != nil {
			continue
		}
		to, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(got))
		kind, err := unix.GetsockoptInt(got, unix.SOL_SOCKET, unix.SO_TYPE)
		if err == nil && kind == unix.SOCK_SEQPACKET && !h.privileged {
			h.say("took the conversation of a joining process")
		}
		h.file("taken descriptor", to, "/proc/self/fd/"+strconv.Itoa(got))
		unix.Close(got)
	}
}

// file judges a descriptor: the container has its standard streams, and what a program of Go
// opens for itself.
func (h *hunter) file(what, to, path string) {
	for _, fine := range []string{"/dev/null", "pipe:", "socket:", "anon_inode:", "/dev/pts/", "/proc/", "/sys/"} {
		if strings.HasPrefix(to, fine) {
			return
		}
	}
	// The tests' streams are files without a name, which are no directories.
	var st unix.Stat_t
	if strings.HasSuffix(to, " (deleted)") && (unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT == unix.S_IFREG) {
		return // or gone since
	}
	if to != "" && !ours(to) && to != "/" {
		h.say("%s is %s", what, to)
	}
}

// texts reads what the kernel tells of the process, and what it may do.
func (h *hunter) texts(dir string) {
	for _, name := range []string{"/cmdline", "/comm", "/environ", "/maps"} {
		b, _ := os.ReadFile(dir + name)
		if bytes.Contains(b, []byte("ocirt")) && (!h.privileged || name != "/maps") {
			h.say("%s is %.100q", name, b)
		}
	}
	its, _ := os.ReadFile(dir + "/mountinfo")
	if own, _ := os.ReadFile("/proc/self/mountinfo"); len(its) > 0 && !bytes.Equal(its, own) {
		h.say("a joining process sees other mounts: %.200q", its)
	}
	status, _ := os.ReadFile(dir + "/status")
	mine, _ := os.ReadFile("/proc/self/status")
	for _, set := range []string{"CapEff:", "CapPrm:", "CapBnd:"} {
		if its, own := capabilities(status, set), capabilities(mine, set); its&^own != 0 {
			h.say("a joining process has %s %x, more than %x", set, its, own)
		}
	}
}

func capabilities(status []byte, set string) uint64 {
	_, rest, _ := bytes.Cut(status, []byte("\n"+set))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _ := strconv.ParseUint(strings.TrimSpace(string(line)), 16, 64)
	return n
}
