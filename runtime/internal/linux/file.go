package linux

import (
	"errors"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// newFile names a descriptor as the files of this package are named: by the path it was
// opened with.
func newFile(fd int, dir *os.File, path string) *os.File {
	switch {
	case dir == nil:
	case path == "":
		path = dir.Name()
	case path[0] != '/':
		path = dir.Name() + "/" + path
	}
	return os.NewFile(uintptr(fd), path)
}

// OpenAt opens a path relative to dir (nil: the working directory). The errors are those
// of openat(2), as *os.PathError.
func OpenAt(dir *os.File, path string, flags int, mode uint32) (*os.File, error) {
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Openat(number(dir), path, flags|unix.O_CLOEXEC, mode)
		return err
	})
	runtime.KeepAlive(dir)
	if err != nil {
		return nil, atPath("openat", dir, path, err)
	}
	return newFile(fd, dir, path), nil
}

// OpenAt2 is openat2(2) with the resolve flags RESOLVE_*. EAGAIN means that a name was
// moved or mounted anywhere on the host meanwhile: it is the caller who decides how long
// to try again.
func OpenAt2(dir *os.File, path string, flags int, mode, resolve uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Mode: mode, Resolve: resolve}
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Openat2(number(dir), path, &how)
		return err
	})
	runtime.KeepAlive(dir)
	if err != nil {
		return nil, atPath("openat2", dir, path, err)
	}
	return newFile(fd, dir, path), nil
}

// Stat is fstat(2).
func Stat(f *os.File) (st unix.Stat_t, err error) {
	err = again(func() error { return unix.Fstat(int(f.Fd()), &st) })
	runtime.KeepAlive(f)
	return st, atPath("fstat", f, "", err)
}

// StatAt is fstatat(2), never following a link in the last component.
func StatAt(dir *os.File, name string) (st unix.Stat_t, err error) {
	err = again(func() error {
		return unix.Fstatat(number(dir), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	runtime.KeepAlive(dir)
	return st, atPath("fstatat", dir, name, err)
}

// FilesystemOf returns the magic number of the file system that f lies on.
func FilesystemOf(f *os.File) (int64, error) {
	var st unix.Statfs_t
	err := again(func() error { return unix.Fstatfs(int(f.Fd()), &st) })
	runtime.KeepAlive(f)
	return int64(st.Type), atPath("fstatfs", f, "", err)
}

// MountOf says which mount f lies on, and whether f is the root of it.
func MountOf(f *os.File) (id uint64, root bool, err error) {
	var st unix.Statx_t
	err = again(func() error {
		return unix.Statx(number(f), "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st)
	})
	runtime.KeepAlive(f)
	return st.Mnt_id, st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, atPath("statx", f, "", err)
}

// MkdirAt is mkdirat(2).
func MkdirAt(dir *os.File, name string, mode uint32) error {
	err := again(func() error { return unix.Mkdirat(number(dir), name, mode) })
	runtime.KeepAlive(dir)
	return atPath("mkdirat", dir, name, err)
}

// MknodAt is mknodat(2).
func MknodAt(dir *os.File, name string, mode uint32, dev uint64) error {
	err := again(func() error { return unix.Mknodat(number(dir), name, mode, int(dev)) })
	runtime.KeepAlive(dir)
	return atPath("mknodat", dir, name, err)
}

// SymlinkAt is symlinkat(2).
func SymlinkAt(target string, dir *os.File, name string) error {
	err := again(func() error { return unix.Symlinkat(target, number(dir), name) })
	runtime.KeepAlive(dir)
	return atPath("symlinkat", dir, name, err)
}

// UnlinkAt is unlinkat(2) of anything but a directory.
func UnlinkAt(dir *os.File, name string) error {
	err := again(func() error { return unix.Unlinkat(number(dir), name, 0) })
	runtime.KeepAlive(dir)
	return atPath("unlinkat", dir, name, err)
}

// ReadlinkAt is readlinkat(2). With an empty name, dir is a handle of the link itself.
func ReadlinkAt(dir *os.File, name string) (string, error) {
	b := make([]byte, unix.PathMax)
	n := 0
	err := again(func() (err error) {
		n, err = unix.Readlinkat(number(dir), name, b)
		return err
	})
	runtime.KeepAlive(dir)
	if err != nil {
		return "", atPath("readlinkat", dir, name, err)
	}
	return string(b[:n]), nil
}

// Chown changes the owner of what the handle f is open on, which may be an O_PATH handle.
// -1 leaves an id as it is.
func Chown(f *os.File, uid, gid int) error {
	err := again(func() error { return unix.Fchownat(number(f), "", uid, gid, unix.AT_EMPTY_PATH) })
	runtime.KeepAlive(f)
	return atPath("fchownat", f, "", err)
}

// Chmod changes the mode of what the handle f is open on, which may be an O_PATH handle
// of anything but a symbolic link. Before Linux 6.6 it needs a procfs on /proc.
func Chmod(f *os.File, mode uint32) error {
	err := again(func() error { return unix.Fchmodat(number(f), "", mode, unix.AT_EMPTY_PATH) })
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		err = again(func() error { return unix.Chmod(ProcPath(f), mode) })
	}
	runtime.KeepAlive(f)
	return atPath("fchmodat2", f, "", err)
}

// ProcPath is a path that leads to what f is open on, for calls that take no handle. It
// is only as good as the procfs on /proc, so it must not be used where the container's
// mounts cover the host's.
func ProcPath(f *os.File) string { return "/proc/thread-self/fd/" + strconv.Itoa(int(f.Fd())) }

// Chdir is fchdir(2). It changes the directory of the whole process, unless the calling
// thread has unshared CLONE_FS.
func Chdir(f *os.File) error {
	err := again(func() error { return unix.Fchdir(int(f.Fd())) })
	runtime.KeepAlive(f)
	return atPath("fchdir", f, "", err)
}
