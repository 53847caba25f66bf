package ns

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// OpenJoined opens the namespaces to join, in the order of s.Join. A namespace of ocirt's
// own user namespace is left out (nil), because setns(2) refuses to join it again.
//
// Errors name the property and the path: a path that does not exist, is not a namespace,
// or is one of another kind. A FIFO does not block.
func (s *Set) OpenJoined() (files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
		}
	}()
	for _, j := range s.Join {
		f, err := open(j)
		if err != nil {
			return files, fmt.Errorf("linux.namespaces[%d].path: %w", j.Index, err)
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// open finds out what a path is before it opens it for use: O_PATH has no side effects on
// devices and does not wait for the other end of a FIFO.
func open(j Joined) (*os.File, error) {
	handle, err := unix.Open(j.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT || err == unix.ESRCH {
		return nil, fmt.Errorf("%q does not exist: %w", j.Path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", j.Path, err)
	}
	defer unix.Close(handle)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(handle, &fs); err != nil {
		return nil, fmt.Errorf("cannot look at %q: %w", j.Path, err)
	}
	if fs.Type != unix.NSFS_MAGIC {
		return nil, fmt.Errorf("%q is not a namespace file: %w", j.Path, unix.EINVAL)
	}
	fd, err := unix.Open("/proc/thread-self/fd/"+strconv.Itoa(handle), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", j.Path, err)
	}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err == nil && kind != j.Kind.Flag {
		unix.Close(fd)
		return nil, fmt.Errorf("%q is a %s namespace, not %s: %w", j.Path, kindName(kind), j.Kind.Type, unix.EINVAL)
	}
	if j.Kind.Flag == unix.CLONE_NEWUSER && sameFile(fd, "/proc/self/ns/user") {
		unix.Close(fd)
		return nil, nil
	}
	return os.NewFile(uintptr(fd), j.Path), nil
}

func kindName(flag int) string {
	for _, k := range kinds() {
		if k.Flag == flag {
			return string(k.Type)
		}
	}
	return "unknown"
}

func sameFile(fd int, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Stat(path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}
