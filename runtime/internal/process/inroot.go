package process

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/safepath"
)

// bare is the cause of an error without the call and the path, which the contract's
// messages name in their own way.
func bare(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// errIrregular is for what stands in the place of a file: a FIFO would never answer, a
// device might do anything.
var errIrregular = errors.New("not a regular file")

// errOfKernel is for a regular file that the kernel makes up: an image can have a link to
// /proc/kmsg, reading which waits for ever, and takes away what the host's log should get.
var errOfKernel = errors.New("a file of a file system of the kernel")

// openRegular opens a regular file inside a root for reading.
func openRegular(root *os.File, unsafePath string) (*os.File, error) {
	f, err := safepath.Open(root, unsafePath, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	err = mustBeRegular(f)
	f.Close()
	if err != nil {
		return nil, err
	}
	f, err = safepath.Open(root, unsafePath, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	if err := mustBeRegular(f); err != nil { // again: it may have been exchanged
		f.Close()
		return nil, err
	}
	return f, nil
}

// readRegular reads at most limit bytes of a regular file inside a root.
func readRegular(root *os.File, unsafePath string, limit int64) ([]byte, error) {
	f, err := openRegular(root, unsafePath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, limit)) // which, unlike the file's own Read, never waits
}

func mustBeRegular(f *os.File) error {
	st, err := linux.Stat(f)
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errIrregular
	}
	magic, err := linux.FilesystemOf(f)
	if err != nil {
		return err
	}
	switch magic {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.TRACEFS_MAGIC, unix.DEBUGFS_MAGIC, unix.SECURITYFS_MAGIC,
		unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.BPF_FS_MAGIC, unix.PSTOREFS_MAGIC, unix.EFIVARFS_MAGIC:
		return errOfKernel
	}
	return nil
}
