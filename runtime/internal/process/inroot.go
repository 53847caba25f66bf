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
	return io.ReadAll(io.LimitReader(f, limit))
}

func mustBeRegular(f *os.File) error {
	st, err := linux.Stat(f)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errIrregular
	}
	return err
}
