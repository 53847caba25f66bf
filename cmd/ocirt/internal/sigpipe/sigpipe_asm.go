//go:build amd64 || arm64

package sigpipe

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// writeTo is the end of the pipe that the handler writes to.
var writeTo int32 //nolint:unused // by the handler

func handler() //nolint:unused // by addresses

// addresses are those of handler and of what it returns to; 0 if the kernel knows that itself.
func addresses() (handle, restore uintptr)

// action is the kernel's struct sigaction (arch/*/include/uapi/asm/signal.h).
type action struct {
	handle  uintptr
	flags   uint64
	restore uintptr
	mask    uint64
}

const lastSignal = 64

const (
	onStack = 0x08000000 // SA_ONSTACK: threads of Go have a stack of their own for signals
	restart = 0x10000000 // SA_RESTART
)

// A Pipe has the signals that were caught.
type Pipe struct {
	read, write int
	mu          sync.Mutex
	old         map[unix.Signal]action // what they meant before
}

// Catch begins to catch signals. There can be one Pipe at a time.
func Catch(signals ...unix.Signal) (*Pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	p := &Pipe{read: fds[0], write: fds[1], old: make(map[unix.Signal]action, len(signals))}
	writeTo = int32(p.write)
	handle, restore := addresses()
	for _, s := range signals {
		a, old := action{handle, onStack | restart | restorerFlag, restore, ^uint64(0)}, action{}
		if err := change(s, &a, &old); err != nil {
			p.Close()
			return nil, err
		}
		p.old[s] = old
	}
	return p, nil
}

func change(s unix.Signal, to, old *action) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(old)), unsafe.Sizeof(to.mask), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("rt_sigaction", errno)
	}
	return nil
}

// FD is the descriptor that Next reads from.
func (p *Pipe) FD() int { return p.read }

// Next takes the signal that has waited longest; ok is false if there is none.
func (p *Pipe) Next() (s unix.Signal, ok bool) {
	var number [4]byte
	for {
		n, err := unix.Read(p.read, number[:])
		if err == unix.EINTR {
			continue
		}
		return unix.Signal(*(*int32)(unsafe.Pointer(&number))), err == nil && n == len(number)
	}
}

// Reset gives a signal the meaning back that it had before Catch.
func (p *Pipe) Reset(s unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, ok := p.old[s]
	if !ok {
		return
	}
	delete(p.old, s)
	now, handle := action{}, uintptr(0)
	handle, _ = addresses()
	if change(s, nil, &now) == nil && now.handle == handle { // os/signal may have it now
		_ = change(s, &old, nil)
	}
}

// Close gives all signals their meaning back. The pipe stays open: a thread may be about to
// write to it, and must not find something else there.
func (p *Pipe) Close() {
	for s := unix.Signal(1); s <= lastSignal; s++ {
		p.Reset(s)
	}
}
