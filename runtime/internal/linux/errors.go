package linux

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Unsupported says that the running kernel lacks something. It is also
// errors.ErrUnsupported, and the errno the kernel gave.
type Unsupported struct {
	Feature string // "recursive mount attributes"
	Since   string // the first kernel with it, "5.12"; may be empty
	Err     error  // what the kernel answered; may be nil
}

func (u *Unsupported) Error() string {
	s := u.Feature + " not supported by this kernel"
	if u.Since != "" {
		s += ", needs Linux " + u.Since
	}
	if u.Err != nil {
		s += ": " + u.Err.Error()
	}
	return s
}

// Unwrap returns what the kernel answered.
func (u *Unsupported) Unwrap() error { return u.Err }

// Is makes it an errors.ErrUnsupported.
func (u *Unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

// atPath names the call and the path it was about; nil stays nil.
func atPath(call string, dir *os.File, path string, err error) error {
	if err == nil {
		return nil
	}
	switch {
	case dir == nil:
	case path == "":
		path = dir.Name()
	case path[0] != '/':
		path = dir.Name() + "/" + path
	}
	return &os.PathError{Op: call, Path: path, Err: err}
}

// again makes a call until it is not interrupted.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// number is the descriptor of a file; nil stands for the working directory.
func number(f *os.File) int {
	if f == nil {
		return unix.AT_FDCWD
	}
	return int(f.Fd())
}
