package runtime

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// builderFile opens the executable that becomes a builder, in a form that nothing in a
// container can write to: the builder is visible to the processes of a pid namespace that
// the container shares (CVE-2019-5736). A read-only clone of the file's mount is nearly
// free; where there is no right to make one, a sealed copy in memory does.
//
// It does, too, for a builder that is to be hidden, if it is root's: what a process executes
// decides who may trace it. With a file that the user namespace can read that is everybody
// there with CAP_SYS_PTRACE, though the builder still has the host's root and our socket;
// with one that it cannot read it is the host (ptrace(2), would_dump in fs/exec.c).
func (rt *Runtime) builderFile(hidden bool) (*os.File, error) {
	path := rt.builder
	if path == "" {
		path = "/proc/self/exe"
	}
	mode, err := uint32(0o111), error(nil)
	if !hidden || os.Geteuid() != 0 {
		var f *os.File
		if f, err = readOnlyClone(path); err == nil {
			return f, nil
		}
		mode = 0o555
	}
	f, copyErr := sealedCopy(path, mode)
	if copyErr != nil {
		return nil, fmt.Errorf("cannot protect the builder's executable: %w", errors.Join(err, copyErr))
	}
	return f, nil
}

func readOnlyClone(path string) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("open_tree", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("mount_setattr", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func sealedCopy(path string, mode uint32) (*os.File, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("ocirt", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // Linux before 6.3 knows no MFD_EXEC
		fd, err = unix.MemfdCreate("ocirt", flags)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	to := os.NewFile(uintptr(fd), "ocirt")
	if _, err = io.Copy(to, from); err == nil {
		err = unix.Fchmod(fd, mode)
	}
	if err == nil {
		err = entry.Seal(to)
	}
	if err != nil {
		to.Close()
		return nil, err
	}
	return to, nil
}
