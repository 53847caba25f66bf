package safepath

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
)

// procRootInode is the inode of the root of every procfs (include/linux/proc_ns.h).
const procRootInode = 1

// Proc returns a procfs of our own: detached where possible, complete, and nothing that a
// container mounts can cover any part of it (CVE-2025-52881). The pid namespace it shows is
// the caller's. The caller closes it.
func Proc() (*os.File, error) {
	f, err := newProc()
	if err == nil {
		return f, nil
	}
	// A user namespace whose /proc is partly masked may not mount another; it may copy
	// what it has.
	f, treeErr := linux.OpenTree(nil, "/proc", unix.OPEN_TREE_CLONE|unix.AT_SYMLINK_NOFOLLOW)
	if treeErr != nil {
		f, treeErr = linux.OpenAt(nil, "/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	}
	if treeErr != nil {
		return nil, fmt.Errorf("cannot make a private procfs: %w", errors.Join(err, treeErr))
	}
	if err := isProc(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func newProc() (*os.File, error) {
	fs, err := linux.NewFilesystem("proc")
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	if err := fs.Create(); err != nil {
		return nil, err
	}
	return fs.Mount(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
}

// isProc checks that f is the root of a procfs.
func isProc(f *os.File) error {
	magic, err := linux.FilesystemOf(f)
	if err != nil {
		return err
	}
	st, err := linux.Stat(f)
	if err != nil {
		return err
	}
	if magic != unix.PROC_SUPER_MAGIC || st.Ino != procRootInode {
		return fmt.Errorf("unsafe procfs: %s is not the root of a procfs", f.Name())
	}
	return nil
}

// OpenProc opens a file below proc, a handle from Proc, following nothing and leaving
// neither its file system nor its mount: the file is what its name says, or there is an
// error that contains "unsafe procfs".
func OpenProc(proc *os.File, path string, flags int) (*os.File, error) {
	const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
	f, err := linux.OpenAt2(proc, path, flags|unix.O_NOFOLLOW, 0, resolve)
	if err != nil && walkInstead(err) {
		if strings.Contains("/"+path+"/", "/../") {
			return nil, fmt.Errorf("unsafe procfs: %q: %w", path, unix.EXDEV)
		}
		f, err = walkOpen(proc, path, flags|unix.O_NOFOLLOW, false)
	}
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("unsafe procfs: %w", err)
	}
	if err != nil {
		return nil, err
	}
	if err := sameMount(proc, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sameMount checks that f is a file of the procfs that proc is, not of one that something
// put on top.
func sameMount(proc, f *os.File) error {
	magic, err := linux.FilesystemOf(f)
	if err != nil {
		return err
	}
	ours, _, err := linux.MountOf(proc)
	if err != nil {
		return err
	}
	its, _, err := linux.MountOf(f)
	if err != nil {
		return err
	}
	if magic != unix.PROC_SUPER_MAGIC || ours != its {
		return fmt.Errorf("unsafe procfs: %s is covered by another mount", f.Name())
	}
	return nil
}

// Write writes a value to a file below proc, with one single write, because each write is
// a command of its own to the kernel. The errno of the kernel is kept.
func Write(proc *os.File, path, value string) error {
	f, err := OpenProc(proc, path, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := unix.Write(int(f.Fd()), []byte(value))
	for errors.Is(err, unix.EINTR) { // nothing was written yet
		n, err = unix.Write(int(f.Fd()), []byte(value))
	}
	if err == nil && n < len(value) {
		err = fmt.Errorf("short write: %d of %d bytes", n, len(value))
	}
	if err != nil {
		return &os.PathError{Op: "write", Path: "/proc/" + path, Err: err}
	}
	return nil
}
