//go:build !amd64 && !arm64

package sigpipe

import "golang.org/x/sys/unix"

// A Pipe has the signals that were caught.
type Pipe struct{}

// Catch is not possible here.
func Catch(...unix.Signal) (*Pipe, error) { return nil, ErrUnsupported }

// Next has nothing.
func (*Pipe) Next() (unix.Signal, bool) { return 0, false }

// FD is none.
func (*Pipe) FD() int { return -1 }

// Reset does nothing.
func (*Pipe) Reset(unix.Signal) {}

// Close does nothing.
func (*Pipe) Close() {}
