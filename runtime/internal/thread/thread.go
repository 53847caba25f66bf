// Package thread keeps an OS thread with namespaces of its own. It needs no other package of
// ours and none that takes long to initialize, so that a thread can be at work while its
// program is still starting.
package thread

import (
	"runtime"
	"sync/atomic"

	"github.com/ocirt/ocirt/runtime/internal/bare"
)

// A Thread is an OS thread with namespaces of its own, of which init is born and on which the
// sandbox is built. The kernel needs longest for a network namespace: a thread makes it while
// others start the program, compile the plan and make the state directory.
type Thread struct {
	makes atomic.Uint64 // decided, and CLONE_NEW… flags; 0: nobody has said yet
	errno uintptr       // why it could not make them
	work  func()
	begin Gate
	end   Gate
	busy  bool // with what Begin gave it
	ended bool
}

const cloneFS = 0x200 // CLONE_FS (linux/sched.h)

// decided is a bit that no flag has (CSIGNAL).
const decided = 1

// spare is a thread that has been started for the next New.
var spare atomic.Pointer[Thread]

// Ready starts the thread that the next New takes, so that it is there by then.
func Ready() { Guess(nothing) }

// Guess does as Ready, and lets the thread find out by itself which namespaces it will have to
// make. If it does it makes them. A wrong guess costs only its time.
func Guess(namespaces func() (flags uintptr, ok bool)) {
	if spare.Load() == nil {
		spare.Store(start(namespaces))
	}
}

// Discard ends a thread that was started for the next New, where none is needed.
func Discard() {
	t := spare.Swap(nil)
	if t == nil {
		return
	}
	if t.decide(0) {
		t.begin.Open()
	}
	t.Close()
}

// New lets a thread make namespaces: CLONE_NEW… flags, but for those of pids and users, which
// a thread cannot enter. Close ends it.
func New(flags uintptr) *Thread {
	t := spare.Swap(nil)
	if t != nil && !t.decide(flags) {
		if t.Makes(flags) {
			return t // it does already
		}
		t.Close()
		t = nil
	}
	if t == nil {
		t = start(nothing)
		t.decide(flags)
	}
	t.begin.Open()
	return t
}

// decide says which namespaces it makes, if nobody has.
func (t *Thread) decide(flags uintptr) bool {
	return t.makes.CompareAndSwap(0, uint64(flags)|decided)
}

func nothing() (uintptr, bool) { return 0, false }

// start starts a thread that finds out what it makes, or is told by somebody who is quicker.
func start(find func() (flags uintptr, ok bool)) *Thread {
	t := &Thread{begin: NewGate(), end: NewGate()}
	go own(func() {
		GrowStack()
		flags, ok := find()
		if !ok || !t.decide(flags) {
			t.begin.Wait()
		}
		// Threads share root and working directory; a mount namespace can be entered only by
		// one that does not (setns(2)).
		t.errno = bare.Leave(uintptr(t.makes.Load()&^decided) | cloneFS)
		for {
			t.begin.Wait()
			if t.work == nil {
				return
			}
			t.work()
			t.end.Open()
		}
	})
	// The Go runtime's threads take the newest goroutine from another one only after they have
	// slept, which is a tenth of a millisecond. Now there is a newer one.
	go func() {}()
	// The first call makes the Go runtime start a thread, of which it starts others while some are
	// locked. Better here than on the thread that somebody will wait for.
	runtime.LockOSThread()
	runtime.UnlockOSThread()
	return t
}

// Makes reports whether these are the namespaces that the thread makes. Nil makes none.
func (t *Thread) Makes(flags uintptr) bool {
	return t != nil && t.makes.Load() == uint64(flags)|decided
}

// Begin lets the thread run f, which is told why the namespaces could not be made, or 0. Wait
// returns when it has.
func (t *Thread) Begin(f func(errno uintptr)) {
	t.work, t.busy = func() { f(t.errno) }, true
	t.begin.Open()
}

// Wait waits for what Begin began; for nothing if t is nil.
func (t *Thread) Wait() {
	if t != nil && t.busy {
		t.end.Wait()
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
	t.begin.Open()
}

// OnOwn runs f on a thread that nothing else will run on, ever: it changes the thread's
// namespaces.
func OnOwn(f func()) {
	done := make(chan struct{})
	go own(func() {
		defer close(done)
		GrowStack()
		f()
	})
	<-done
}

// own runs f on a thread that ends with it. It is never the main thread, because what
// /proc/self shows of the process is that one.
func own(f func()) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if !bare.OnMainThread() {
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
