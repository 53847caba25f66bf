package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A pidFile is a pid file to be: its directory is opened before anything else is done, so
// that a path that cannot be written to is an error while nothing is running.
type pidFile struct {
	dir  int
	name string
	path string
	done bool
}

func preparePidFile(path string) (*pidFile, error) {
	if path == "" {
		return nil, nil
	}
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("--pid-file: cannot open %q: %w", filepath.Dir(path), err)
	}
	p := &pidFile{dir: dir, name: filepath.Base(path), path: path}
	if p.isDevice() {
		p.close()
		return nil, fmt.Errorf("--pid-file: %q is a device", path)
	}
	return p, nil
}

// isDevice reports whether a device stands where the file is to be. It would be replaced, and
// without /dev/null hardly a program works.
func (p *pidFile) isDevice() bool {
	var st unix.Stat_t
	if err := unix.Fstatat(p.dir, p.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false
	}
	return st.Mode&unix.S_IFMT == unix.S_IFCHR || st.Mode&unix.S_IFMT == unix.S_IFBLK
}

// write writes the pid, without a newline (readers use strconv.Atoi on all of it). The
// file appears complete or not at all.
func (p *pidFile) write(pid int) error {
	if p == nil {
		return nil
	}
	tmp := "." + p.name + "." + strconv.Itoa(os.Getpid()) + "." + strconv.FormatInt(time.Now().UnixNano(), 36)
	fd, err := unix.Openat(p.dir, tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o666)
	if err != nil {
		return fmt.Errorf("--pid-file: cannot make %q: %w", p.path, err)
	}
	_, err = unix.Write(fd, []byte(strconv.Itoa(pid)))
	unix.Close(fd)
	if err == nil {
		err = unix.Renameat(p.dir, tmp, p.dir, p.name)
	}
	if err != nil {
		_ = unix.Unlinkat(p.dir, tmp, 0)
		return fmt.Errorf("--pid-file: cannot write %q: %w", p.path, err)
	}
	p.done = true
	return nil
}

// remove takes back what write wrote: callers read a pid file as success.
func (p *pidFile) remove() {
	if p == nil {
		return
	}
	if p.done {
		_ = unix.Unlinkat(p.dir, p.name, 0)
	}
}

func (p *pidFile) close() {
	if p != nil && p.dir >= 0 {
		unix.Close(p.dir)
		p.dir = -1
	}
}

// sendTimeout bounds what a peer that never reads can cost.
const sendTimeout = 10 * time.Second

// sendFile sends one descriptor, with a payload, to a listening stream socket. The socket
// is named through its open directory: an address holds 107 bytes, a path may be longer.
func sendFile(path, flag, payload string, f *os.File) error {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("--%s: cannot open %q: %w", flag, filepath.Dir(path), err)
	}
	defer unix.Close(dir)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot make a socket: %w", err)
	}
	defer unix.Close(fd)
	tv := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	addr := &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(path)}
	if err := unix.Connect(fd, addr); err != nil {
		return fmt.Errorf("--%s: cannot connect to %q: %w", flag, path, err)
	}
	if err := unix.Sendmsg(fd, []byte(payload), unix.UnixRights(int(f.Fd())), nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("--%s: cannot send to %q: %w", flag, path, err)
	}
	return nil
}
