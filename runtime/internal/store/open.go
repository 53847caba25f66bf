package store

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openDir opens a directory below another, in our own tree: no link in any place,
// and no other mount. Kernels and seccomp filters without openat2 get the same for
// one name from O_NOFOLLOW and a look at the mount; names here have no slash.
func openDir(at int, name string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := openBeneath(at, name, flags, 0)
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return fd, err
	}
	fd, err = retryOpen(func() (int, error) { return unix.Openat(at, name, flags, 0) })
	if err != nil {
		return -1, err
	}
	if same, err := sameMount(at, fd); err != nil || !same {
		unix.Close(fd)
		if err == nil {
			err = unix.EXDEV
		}
		return -1, err
	}
	return fd, nil
}

// openBeneath is openat2 with the resolution rules for our own trees.
func openBeneath(at int, name string, flags uint64, mode uint64) (int, error) {
	how := unix.OpenHow{
		Flags: flags,
		Mode:  mode,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS |
			unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	return retryOpen(func() (int, error) { return unix.Openat2(at, name, &how) })
}

// openFile opens a file of ours to read it. It neither follows nor waits: a FIFO
// or a device in its place is opened, and refused by the caller.
func openFile(at int, name string) (int, error) {
	return retryOpen(func() (int, error) {
		return unix.Openat(at, name,
			unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
}

func retryOpen(open func() (int, error)) (int, error) {
	// EAGAIN is openat2 seeing a rename anywhere on the host. With names of one
	// component that takes more bad luck than exists, but is not an error.
	for tries := 0; ; tries++ {
		fd, err := open()
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) && tries < 1024 {
			continue
		}
		return fd, err
	}
}

// sameMount says whether two descriptors are in one mount.
func sameMount(a, b int) (bool, error) {
	x, err := mountOf(a, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return false, err
	}
	y, err := mountOf(b, "", unix.AT_EMPTY_PATH)
	return x == y, err
}

// A mountID tells mounts apart. Without the mount's own number (before 5.8) the
// device has to do, which misses a bind mount of the same file system.
type mountID struct {
	id           uint64
	major, minor uint32
}

func mountOf(at int, name string, flags int) (mountID, error) {
	var st unix.Statx_t
	err := retry(func() error {
		return unix.Statx(at, name, flags|unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT,
			unix.STATX_TYPE|unix.STATX_MNT_ID, &st)
	})
	if err != nil {
		return mountID{}, err
	}
	m := mountID{major: st.Dev_major, minor: st.Dev_minor}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		m.id = st.Mnt_id
	}
	return m, nil
}

func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// setMode gives a file that we have just made the mode it should have whatever
// the umask was.
func setMode(fd int, have, want uint32) error {
	if have&0o7777 == want {
		return nil
	}
	return unix.Fchmod(fd, want)
}

// makeDir makes a directory that the owner can open whatever the umask is, and
// opens it. If it cannot, the directory is gone again.
func makeDir(at int, name string, mode uint32) (int, error) {
	if err := retry(func() error { return unix.Mkdirat(at, name, 0o700) }); err != nil {
		return -1, err
	}
	fd, err := openDir(at, name)
	if errors.Is(err, unix.EACCES) {
		// A umask that takes the owner's own bits, and an owner who needs them.
		if err = unlockDir(at, name); err == nil {
			fd, err = openDir(at, name)
		}
	}
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err == nil {
		err = setMode(fd, st.Mode, mode)
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		// If it was not there to be opened, somebody was quick to delete it,
		// and what has the name now is somebody else's.
		if !isNotExist(err) {
			_ = unix.Unlinkat(at, name, unix.AT_REMOVEDIR)
		}
		return -1, err
	}
	return fd, nil
}

// unlockDir gives a directory without permissions the usual ones, by handle.
func unlockDir(at int, name string) error {
	fd, err := retryOpen(func() (int, error) {
		return unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), 0o700)
}

// checkOwner refuses what somebody else owns or may change.
func checkOwner(st *unix.Stat_t) error {
	if euid := os.Geteuid(); st.Uid != uint32(euid) {
		if euid == 0 {
			return fmt.Errorf("not owned by root, but by uid %d", st.Uid)
		}
		return fmt.Errorf("owned by uid %d, not by uid %d", st.Uid, euid)
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("writable by others (mode %#o)", st.Mode&0o7777)
	}
	return nil
}
