// Package bare makes a few system calls without package syscall. A Go program initializes
// its packages in an order in which those that syscall needs, and some that sort before it,
// come first, and they take longer than half of all others: a tenth of a millisecond, in which
// the kernel could be at work. What imports only this one runs before them.
//
// The functions are those of packages syscall and runtime, which they declare to be for others
// (go:linkname); nothing in them waits for an initialization.
package bare

import (
	"runtime"
	"unsafe"
)

// Call makes a system call; errno is 0 if it succeeds. Other goroutines do not get the
// calling thread's permission to run meanwhile, so it must not wait for one of them. For calls
// that take less than a millisecond that is what is wanted: the Go runtime would give the
// permission to a thread that looks for work, and where that has to wait for a processor, the
// caller waits for it at the end of the call.
//
//go:linkname Call syscall.RawSyscall6
func Call(nr, a, b, c, d, e, f uintptr) (r1, r2, errno uintptr)

// CallAndWait makes one that may wait, during which other goroutines run.
//
//go:linkname CallAndWait syscall.Syscall6
func CallAndWait(nr, a, b, c, d, e, f uintptr) (r1, r2, errno uintptr)

// Args is the command line, as os.Args will have it.
//
//go:linkname Args os.runtime_args
func Args() []string

//go:linkname environ syscall.runtime_envs
func environ() []string

// HasEnv reports whether the environment has a variable that is not empty.
func HasEnv(name string) bool {
	for _, e := range environ() {
		if len(e) > len(name)+1 && e[:len(name)] == name && e[len(name)] == '=' {
			return true
		}
	}
	return false
}

// Pid is this process's id.
func Pid() int {
	pid, _, _ := Call(Getpid, 0, 0, 0, 0, 0, 0)
	return int(pid)
}

// HasThread reports whether this process has a thread with that id.
func HasThread(tid int) bool {
	_, _, errno := Call(Tgkill, uintptr(Pid()), uintptr(tid), 0, 0, 0, 0)
	return errno == 0
}

// OnMainThread reports whether the caller runs on the thread that the program began with.
func OnMainThread() bool {
	tid, _, _ := Call(Gettid, 0, 0, 0, 0, 0, 0)
	return int(tid) == Pid()
}

// The operations of futex(2) within one process.
const (
	futexWait = 0 | 128
	futexWake = 1 | 128
)

// Sleep waits until somebody wakes those who sleep on a word; if it is not zero, not at all.
// It may also return for no reason.
func Sleep(word *uint32) {
	_, _, _ = CallAndWait(Futex, uintptr(unsafe.Pointer(word)), futexWait, 0, 0, 0, 0)
}

// Wake wakes one of them.
func Wake(word *uint32) {
	_, _, _ = Call(Futex, uintptr(unsafe.Pointer(word)), futexWake, 1, 0, 0, 0)
}

// Leave gives the calling thread namespaces of its own, or other things that it shares; flags
// are those of unshare(2).
func Leave(flags uintptr) (errno uintptr) {
	_, _, errno = Call(Unshare, flags, 0, 0, 0, 0, 0)
	return errno
}

// ReadFile reads a regular file that is no longer than limit, in bytes. It opens nothing else:
// that could do anything.
func ReadFile(name string, limit uint64) (text string, ok bool) {
	if size, ok := length(atFDCWD, name, 0); !ok || size > limit {
		return "", false
	}
	fd, ok := open(name, readOnly)
	if !ok {
		return "", false
	}
	// Somebody may have put another file in its place.
	size, ok := length(fd, "", atEmptyPath)
	if ok = ok && 0 < size && size <= limit; ok {
		b := make([]byte, size)
		n, _, errno := Call(Read, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(size), 0, 0, 0)
		if ok = errno == 0 && n <= uintptr(size); ok {
			text = string(b[:n])
		}
	}
	_, _, _ = Call(Close, fd, 0, 0, 0, 0, 0)
	return text, ok
}

// WriteFile writes into a file that there is.
func WriteFile(name, text string) {
	fd, ok := open(name, writeOnly)
	if !ok {
		return
	}
	b := []byte(text)
	_, _, _ = Call(Write, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
	_, _, _ = Call(Close, fd, 0, 0, 0, 0, 0)
}

const (
	atFDCWD     = ^uintptr(100 - 1)
	atEmptyPath = 0x1000
	readOnly    = 0x80000 | 0x800 // O_RDONLY, O_CLOEXEC and O_NONBLOCK
	writeOnly   = readOnly | 1    // O_WRONLY

	typeMask    = 0xf000 // S_IFMT
	typeRegular = 0x8000 // S_IFREG
	basicStats  = 0x7ff  // STATX_BASIC_STATS
)

func open(name string, flags uintptr) (fd uintptr, ok bool) {
	path := append([]byte(name), 0)
	fd, _, errno := Call(Openat, atFDCWD, uintptr(unsafe.Pointer(&path[0])), flags, 0, 0, 0)
	runtime.KeepAlive(path)
	return fd, errno == 0
}

// length is the length of a regular file; ok is false for any other.
func length(at uintptr, name string, flags uintptr) (size uint64, ok bool) {
	st, ok := stat(at, name, flags)
	return st.size, ok && st.mode&typeMask == typeRegular
}

func stat(at uintptr, name string, flags uintptr) (st *statx, ok bool) {
	st = new(statx)
	path := append([]byte(name), 0)
	_, _, errno := Call(Statx, at, uintptr(unsafe.Pointer(&path[0])), flags, basicStats, uintptr(unsafe.Pointer(st)), 0)
	runtime.KeepAlive(path)
	return st, errno == 0
}

// statx is what is needed of struct statx (linux/stat.h).
type statx struct {
	_    [28]byte
	mode uint16
	_    [10]byte
	size uint64
	_    [208]byte
}
