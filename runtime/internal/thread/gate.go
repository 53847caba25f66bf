package thread

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// A Gate is passed by one thread as often as another one opens it (futex(2)). A channel would
// do, but that a locked thread is woken by way of a third one: twice the time. With a single
// processor it has to be the channel: a thread in a system call keeps the Go runtime's only
// permission to run until the runtime's monitor notices.
type Gate struct {
	times atomic.Uint32
	ch    chan struct{} // nil: times
}

// NewGate returns a gate that is opened twice at most before it is passed.
func NewGate() Gate {
	if runtime.GOMAXPROCS(0) == 1 {
		return Gate{ch: make(chan struct{}, 2)}
	}
	return Gate{}
}

// Open lets the one who waits, or will wait, pass once.
func (g *Gate) Open() {
	if g.ch != nil {
		g.ch <- struct{}{}
		return
	}
	g.times.Add(1)
	_, _, _ = syscall.RawSyscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(&g.times)), futexWake, 1, 0, 0, 0)
}

// Wait passes the gate once it is open.
func (g *Gate) Wait() {
	if g.ch != nil {
		<-g.ch
		return
	}
	for g.times.Load() == 0 {
		_, _, _ = syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(&g.times)), futexWait, 0, 0, 0, 0)
	}
	g.times.Add(^uint32(0)) // only one thread waits
}

// The operations of futex(2) within one process.
const (
	futexWait = 0 | 128
	futexWake = 1 | 128
)
