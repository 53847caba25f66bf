package rootfs

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
)

// maxDepth bounds how deep a tree is copied: a descriptor or two are open for each level.
const maxDepth = 128

// copyUp copies what is in the directory from into the directory to, with owners, modes
// and times. Links are copied, never followed, and every file is reached from the handle
// of its directory. How much is copied is bounded by the size of the file system that to
// lies on.
func copyUp(from, to *os.File) error {
	src, err := linux.OpenAt(from, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := linux.Stat(src)
	if err != nil {
		return err
	}
	if st.Uid != 0 || st.Gid != 0 {
		if err := linux.Chown(to, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	return copyEntries(src, to, 0)
}

func copyEntries(src, dst *os.File, depth int) error {
	if depth > maxDepth {
		return &os.PathError{Op: "copy", Path: src.Name(), Err: unix.ELOOP}
	}
	names, err := src.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := copyEntry(src, dst, name, depth); err != nil {
			return err
		}
	}
	return nil
}

func copyEntry(src, dst *os.File, name string, depth int) error {
	st, err := linux.StatAt(src, name)
	if errors.Is(err, unix.ENOENT) {
		return nil // gone meanwhile
	}
	if err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		err = copyDir(src, dst, name, depth)
	case unix.S_IFREG:
		err = copyFile(src, dst, name)
	case unix.S_IFLNK:
		var text string
		if text, err = linux.ReadlinkAt(src, name); err == nil {
			err = linux.SymlinkAt(text, dst, name)
		}
	default:
		err = linux.MknodAt(dst, name, st.Mode, st.Rdev)
	}
	if err != nil {
		return err
	}
	return copyMeta(dst, name, &st)
}

func copyDir(src, dst *os.File, name string, depth int) error {
	from, err := linux.OpenAt(src, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := linux.MkdirAt(dst, name, 0o700); err != nil {
		return err
	}
	to, err := linux.OpenAt(dst, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer to.Close()
	return copyEntries(from, to, depth+1)
}

func copyFile(src, dst *os.File, name string) error {
	// The file may have become a FIFO or a device meanwhile: do not wait for it.
	from, err := linux.OpenAt(src, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	st, err := linux.Stat(from)
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return &os.PathError{Op: "copy", Path: from.Name(), Err: unix.EINVAL}
	}
	to, err := linux.OpenAt(dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// copyMeta gives the copy, in a file system that nobody else sees yet, owner, mode and
// times of the original.
func copyMeta(dst *os.File, name string, st *unix.Stat_t) error {
	f, err := linux.OpenAt(dst, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := linux.Chown(f, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := linux.Chmod(f, st.Mode&0o7777); err != nil {
			return err
		}
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	err = unix.UtimesNanoAt(int(dst.Fd()), name, times, unix.AT_SYMLINK_NOFOLLOW)
	return os.NewSyscallError("utimensat", err)
}
