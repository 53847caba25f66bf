package thread

import (
	"runtime"
	"sync/atomic"

	"github.com/ocirt/ocirt/runtime/internal/bare"
)

// A Gate is passed by one thread as often as another one opens it (futex(2)). A channel would
// do, but that a locked thread is woken by way of a third one: twice the time. With a single
// processor it has to be the channel: a thread in a system call keeps the Go runtime's only
// permission to run until the runtime's monitor notices.
type Gate struct {
	times uint32
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
	atomic.AddUint32(&g.times, 1)
	bare.Wake(&g.times)
}

// Wait passes the gate once it is open.
func (g *Gate) Wait() {
	if g.ch != nil {
		<-g.ch
		return
	}
	for atomic.LoadUint32(&g.times) == 0 {
		bare.Sleep(&g.times)
	}
	atomic.AddUint32(&g.times, ^uint32(0)) // only one thread waits
}
