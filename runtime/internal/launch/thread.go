package launch

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
)

// A Thread is an OS thread with namespaces of its own, of which init is born and on which the
// sandbox is built. The kernel needs longest for a network namespace: a thread makes it while
// another one compiles the plan and makes the state directory.
type Thread struct {
	flags uintptr
	err   error // why it could not make them
	work  func()
	begin gate
	end   gate
	busy  bool // with what Begin gave it
	ended bool
}

// spare is a thread that waits to be told what to make.
var spare atomic.Pointer[Thread]

// Ready starts the thread that the next NewThread takes, so that it is there by then.
func Ready() {
	if spare.Load() == nil {
		spare.Store(startThread(true))
	}
}

// NewThread lets a thread make namespaces: CLONE_NEW… flags, but for those of pids and users,
// which a thread cannot enter. Close ends it.
func NewThread(flags uintptr) *Thread {
	t := spare.Swap(nil)
	if t == nil {
		t = startThread(false)
	}
	t.flags = flags
	t.begin.open()
	return t
}

// startThread starts a thread; one that is ahead of what it will be told has time.
func startThread(ahead bool) *Thread {
	t := &Thread{begin: newGate(), end: newGate()}
	go ownThread(func() {
		linux.GrowStack()
		if ahead {
			linux.PopulateProgram()
		}
		t.begin.wait()
		// Threads share root and working directory; a mount namespace can be entered only by
		// one that does not (setns(2)).
		t.err = unix.Unshare(int(t.flags) | unix.CLONE_FS)
		for {
			t.begin.wait()
			if t.work == nil {
				return
			}
			t.work()
			t.end.open()
		}
	})
	return t
}

// Makes reports whether these are the namespaces that the thread makes. Nil makes none.
func (t *Thread) Makes(flags uintptr) bool { return t != nil && t.flags == flags }

// Begin lets the thread run f, which is told whether the namespaces are made. Wait returns
// when it has.
func (t *Thread) Begin(f func(made error)) {
	t.work, t.busy = func() { f(t.err) }, true
	t.begin.open()
}

// Wait waits for what Begin began; for nothing if t is nil.
func (t *Thread) Wait() {
	if t != nil && t.busy {
		t.end.wait()
		t.busy = false
	}
}

// Close lets the thread end, and with it what it alone has of its namespaces. It may be called twice, and of
// nil.
func (t *Thread) Close() {
	if t == nil || t.ended {
		return
	}
	t.Wait()
	t.work, t.ended = nil, true
	t.begin.open()
}

// OnOwnThread runs f on a thread that nothing else will run on, ever: it changes the
// thread's namespaces.
func OnOwnThread(f func()) {
	done := make(chan struct{})
	go ownThread(func() {
		defer close(done)
		linux.GrowStack()
		f()
	})
	<-done
}

// ownThread runs f on a thread that ends with it. It is never the main thread, because what
// /proc/self shows of the process is that one.
func ownThread(f func()) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	locked := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(locked)
		f()
	}()
	<-locked
	runtime.UnlockOSThread() // nothing was changed here
}

// A gate is passed by one thread as often as another one opens it (futex(2)). A channel would
// do, but that a locked thread is woken by way of a third one: twice the time. With a single
// processor it has to be the channel: a thread in a system call keeps the Go runtime's only
// permission to run until the runtime's monitor notices.
type gate struct {
	times atomic.Uint32
	ch    chan struct{} // nil: times
}

func newGate() gate {
	if runtime.GOMAXPROCS(0) == 1 {
		return gate{ch: make(chan struct{}, 2)} // what is to be made, and what is to be done
	}
	return gate{}
}

func (g *gate) open() {
	if g.ch != nil {
		g.ch <- struct{}{}
		return
	}
	g.times.Add(1)
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&g.times)), futexWake, 1, 0, 0, 0)
}

func (g *gate) wait() {
	if g.ch != nil {
		<-g.ch
		return
	}
	for g.times.Load() == 0 {
		_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&g.times)), futexWait, 0, 0, 0, 0)
	}
	g.times.Add(^uint32(0)) // only one thread waits
}

// The operations of futex(2) within one process.
const (
	futexWait = 0 | 128
	futexWake = 1 | 128
)
