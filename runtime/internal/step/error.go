package step

import (
	"fmt"
	"syscall"
)

// An Error says which step failed, and which property of config.json asked for it.
type Error struct {
	ID    string // of the container
	Step  string // "mount proc on /proc"
	From  string // "/mounts/0"
	Where string // "host", "builder" or "init"
	Err   error
}

func (e *Error) Error() string {
	if e.Step == "" {
		return e.Err.Error()
	}
	return e.Step + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// A Fault is an error that has crossed from one process to another. It keeps what the
// other side would have wanted to test: errors.Is(err, unix.EPERM) holds on both sides.
type Fault struct {
	Op    string // what was done: "join cgroup"; may be empty
	Errno syscall.Errno
	Text  string // the whole error as the other side would have printed it; may be empty
}

func (f *Fault) Error() string {
	switch {
	case f.Text != "":
		return f.Text
	case f.Op == "":
		return f.Errno.Error()
	}
	return fmt.Sprintf("cannot %s: %v", f.Op, f.Errno)
}

// Unwrap returns the errno, if there is one.
func (f *Fault) Unwrap() error {
	if f.Errno == 0 {
		return nil
	}
	return f.Errno
}
