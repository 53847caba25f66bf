package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// The files here are opened with bare system calls. Files of cgroup file systems can be
// polled, so the standard library would register each of them with its poller, which
// costs more than all that is done with them.

const openDirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// again repeats a system call that was interrupted by a signal. The Go scheduler sends
// signals to its own threads, and some cgroup files answer them with EINTR.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// pathError says what could not be done to what.
func pathError(verb, path string, err error) error {
	return fmt.Errorf("cannot %s %s: %w", verb, path, err)
}

// openAt opens name below the directory dir without following a link.
func openAt(dir int, name string, flags int) (int, error) {
	fd := -1
	err := again(func() (err error) {
		fd, err = unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// openDir opens a group by its path.
func openDir(path string) (int, error) {
	return openAt(unix.AT_FDCWD, path, openDirFlags)
}

// openGroup opens a group that is about to be changed by descriptor: what is at path
// must be a cgroup, and not the root of a hierarchy, whose processes are the host's.
func openGroup(path string) (int, error) {
	fd, err := openDir(path)
	if err != nil {
		return -1, err
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	err = again(func() error { return unix.Fstatfs(fd, &fs) })
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err == nil && !isCgroup(int64(fs.Type)) {
		err = fmt.Errorf("it is not a cgroup")
	}
	if err == nil && st.Ino == rootInode {
		err = fmt.Errorf("it is the root of a cgroup hierarchy")
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// rootInode is the inode number of the root directory of every kernfs file system.
const rootInode = 1

func isCgroup(magic int64) bool {
	return magic == unix.CGROUP_SUPER_MAGIC || magic == unix.CGROUP2_SUPER_MAGIC
}

// readAt returns the content of a small file below dir.
func readAt(dir int, name string) (string, error) {
	fd, err := openAt(dir, name, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var small [512]byte
	buf := small[:0]
	for {
		n := 0
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		err := again(func() (err error) {
			n, err = unix.Read(fd, buf[len(buf):cap(buf)])
			return err
		})
		if err != nil {
			return "", err
		}
		if n == 0 {
			return string(buf), nil
		}
		buf = buf[:len(buf)+n]
	}
}

// writeAt writes a value to a file below dir, with one write: each write to a cgroup
// file is one command.
func writeAt(dir int, name, value string) error {
	fd, err := openAt(dir, name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return again(func() error {
		_, err := unix.Write(fd, []byte(value))
		return err
	})
}

// readIn and writeIn are readAt and writeAt for a group's path.
func readIn(path, name string) (string, error) { return readAt(unix.AT_FDCWD, path+"/"+name) }

func writeIn(path, name, value string) error { return writeAt(unix.AT_FDCWD, path+"/"+name, value) }

// newFile wraps a descriptor that leaves this package.
func newFile(fd int, name string) *os.File { return os.NewFile(uintptr(fd), name) }

// gone tells whether an error means that a group is not there any more. Reading a file
// that was opened before its group vanished gives ENODEV.
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) }

// denied tells whether an error means that this user may not change a tree.
func denied(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)
}

// field returns the value of a "key value" line, as in cgroup.events.
func field(text, key string) (string, bool) {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok && k == key {
			return v, true
		}
	}
	return "", false
}
