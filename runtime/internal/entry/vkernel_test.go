package entry

import (
	"errors"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A world is what a random program starts with: a report socket, stdin and stdout in
// files, a pipe. Two worlds are alike, so a program does the same in both.
type world struct {
	ours          int
	files         []*os.File // descriptors 0, 1, ...
	stdin, stdout string
}

func makeWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{stdin: dir + "/stdin", stdout: dir + "/stdout"}
	if err := os.WriteFile(w.stdin, []byte("what the program can read from its standard input"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(name string) *os.File {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	ours, theirs := socketpair(t, unix.SOCK_NONBLOCK)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	r, wr := os.NewFile(uintptr(pipe[0]), "r"), os.NewFile(uintptr(pipe[1]), "w")
	t.Cleanup(func() { r.Close(); wr.Close() })
	w.ours = ours
	w.files = []*os.File{open(w.stdin), open(w.stdout), open(os.DevNull), theirs, r, wr}
	return w
}

// A virtualKernel makes the calls of an interpreted program with the test's own kernel,
// on descriptors that are numbered as if the program were a process of its own.
type virtualKernel struct {
	real  map[uint32]int
	pid   int
	limit uint32
	left  int // calls until errEndless
}

var (
	errEndless = errors.New("too many calls")
	errPipe    = errors.New("killed by SIGPIPE")
)

// enter gives the kernel duplicates of a world's descriptors.
func enter(t *testing.T, w *world, pid int) *virtualKernel {
	k := &virtualKernel{real: map[uint32]int{}, pid: pid, limit: 1 << 20, left: 2000}
	t.Cleanup(k.close)
	for i, f := range w.files {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		k.real[uint32(i)] = fd
	}
	return k
}

func (k *virtualKernel) close() {
	for _, fd := range k.real {
		unix.Close(fd)
	}
	clear(k.real)
}

// add numbers a descriptor as the kernel does: the lowest that is free, from min on.
func (k *virtualKernel) add(real int, err error, min uint32) int64 {
	if err != nil {
		return failure(err)
	}
	for n := min; n < k.limit; n++ {
		if _, used := k.real[n]; !used {
			k.real[n] = real
			return int64(n)
		}
	}
	unix.Close(real)
	return -int64(unix.EMFILE)
}

func failure(err error) int64 {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		panic(err)
	}
	return -int64(errno)
}

func (k *virtualKernel) Syscall(s Syscall) (int64, error) {
	if k.left--; k.left < 0 {
		return 0, errEndless
	}
	switch s.Trap {
	case unix.SYS_GETPID:
		return int64(k.pid), nil
	case unix.SYS_GETPPID:
		return int64(os.Getpid()), nil
	case unix.SYS_PRLIMIT64:
		b, err := s.Memory.Bytes(Addr(s.Args[2]), 16)
		if err != nil {
			return 0, err
		}
		k.limit = uint32(*(*uint64)(unsafe.Pointer(&b[0])))
		return 0, nil
	case unix.SYS_EVENTFD2:
		fd, err := unix.Eventfd(uint(uint32(s.Args[0])), int(s.Args[1]))
		return k.add(fd, err, 0), nil
	case unix.SYS_PIPE2:
		return k.pipe(s)
	}
	fd, ok := k.real[uint32(s.Args[0])]
	if !ok {
		fd = -1
	}
	return k.file(s, fd)
}

func (k *virtualKernel) pipe(s Syscall) (int64, error) {
	var pair [2]int
	if err := unix.Pipe2(pair[:], int(s.Args[1])); err != nil {
		return failure(err), nil
	}
	a := k.add(pair[0], nil, 0)
	if a < 0 {
		unix.Close(pair[1])
		return a, nil
	}
	b := k.add(pair[1], nil, 0)
	if b < 0 {
		unix.Close(pair[0])
		delete(k.real, uint32(a))
		return b, nil
	}
	if err := s.Memory.putUint32(Addr(s.Args[0]), uint32(a)); err != nil {
		return 0, err
	}
	return 0, s.Memory.putUint32(Addr(s.Args[0]+4), uint32(b))
}

// file makes a call on a descriptor.
func (k *virtualKernel) file(s Syscall, fd int) (int64, error) {
	switch s.Trap {
	case unix.SYS_CLOSE:
		delete(k.real, uint32(s.Args[0]))
		if err := unix.Close(fd); err != nil {
			return failure(err), nil
		}
		return 0, nil
	case unix.SYS_DUP:
		real, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return k.add(real, err, 0), nil
	case unix.SYS_DUP3:
		return k.dup3(s, fd), nil
	case unix.SYS_FCNTL:
		if s.Args[1] != unix.F_DUPFD {
			n, err := unix.FcntlInt(uintptr(fd), int(s.Args[1]), int(s.Args[2]))
			if err != nil {
				return failure(err), nil
			}
			return int64(n), nil
		}
		real, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil && uint32(s.Args[2]) >= k.limit {
			unix.Close(real)
			return -int64(unix.EINVAL), nil
		}
		return k.add(real, err, uint32(s.Args[2])), nil
	case unix.SYS_LSEEK:
		n, err := unix.Seek(fd, int64(s.Args[1]), int(s.Args[2]))
		if err != nil {
			return failure(err), nil
		}
		return n, nil
	}
	return k.data(s, fd)
}

func (k *virtualKernel) dup3(s Syscall, fd int) int64 {
	from, to := uint32(s.Args[0]), uint32(s.Args[1])
	switch {
	case from == to:
		return -int64(unix.EINVAL)
	case fd < 0 || to >= k.limit:
		return -int64(unix.EBADF)
	}
	real, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return failure(err)
	}
	if old, used := k.real[to]; used {
		unix.Close(old)
	}
	k.real[to] = real
	return int64(to)
}

// data makes a call that reads or writes the program's memory.
func (k *virtualKernel) data(s Syscall, fd int) (int64, error) {
	b, err := s.Memory.Bytes(Addr(s.Args[1]), int(s.Args[2]))
	if err != nil {
		return 0, err
	}
	var n int
	switch s.Trap {
	case unix.SYS_READ:
		n, err = unix.Read(fd, b)
	case unix.SYS_WRITE:
		if n, err = unix.Write(fd, b); err == unix.EPIPE {
			return 0, errPipe
		}
	case unix.SYS_SENDTO:
		// unix.Sendto does not return the number of bytes.
		n, err = unix.SendmsgN(fd, b, nil, nil, int(s.Args[3]))
	default:
		return 0, errors.New("unexpected system call")
	}
	if err != nil {
		return failure(err), nil
	}
	return int64(n), nil
}
