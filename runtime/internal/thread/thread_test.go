package thread

import (
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// A thread has its namespaces to itself, runs what it is given there, and ends.
func TestThread(t *testing.T) {
	need.Root(t)
	ours := namespace(t)
	for _, processors := range []int{runtime.GOMAXPROCS(0), 1} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		for i := range 50 {
			if i%2 == 0 {
				Ready()
			}
			thread := New(unix.CLONE_NEWUTS)
			if !thread.Makes(unix.CLONE_NEWUTS) || thread.Makes(unix.CLONE_NEWNET) {
				t.Error("it does not know what it makes")
			}
			first, second, tid := "", "", 0
			thread.Begin(func(errno uintptr) {
				if errno != 0 {
					t.Error(unix.Errno(errno))
				}
				first, tid = namespace(t), unix.Gettid()
			})
			thread.Wait()
			thread.Begin(func(uintptr) { second = namespace(t) })
			thread.Wait()
			if first == "" || first == ours || first != second {
				t.Fatalf("namespaces %q and %q, ours is %q", first, second, ours)
			}
			thread.Close()
			thread.Close()
			ends(t, tid)
		}
	}
	if namespace(t) != ours {
		t.Error("this thread has got into a namespace")
	}
}

func namespace(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink("/proc/thread-self/ns/uts")
	if err != nil {
		t.Error(err)
	}
	return name
}

// ends waits for the end of a thread.
func ends(t *testing.T, tid int) {
	t.Helper()
	if tid == unix.Getpid() {
		t.Fatal("it is the main thread")
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(tid)); os.IsNotExist(err) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("thread %d has not ended", tid)
		}
	}
}

// Why the namespaces could not be made is told to what runs next.
func TestThreadCannot(t *testing.T) {
	thread := New(unix.CLONE_VM)
	defer thread.Close()
	told := uintptr(0)
	thread.Begin(func(errno uintptr) { told = errno })
	thread.Wait()
	if told != uintptr(unix.EINVAL) {
		t.Errorf("%d", told)
	}
}

// A thread that guesses what it will have to make is taken if it was right, told if it does not
// know or has not found out yet, and replaced if it was wrong.
func TestGuess(t *testing.T) {
	need.Root(t)
	ours := namespace(t)
	for name, c := range map[string]struct {
		flags uintptr
		ok    bool
		slow  bool
		taken bool
	}{
		"right":     {flags: unix.CLONE_NEWUTS, ok: true, taken: true},
		"wrong":     {flags: unix.CLONE_NEWIPC, ok: true},
		"unknown":   {flags: 0, ok: false, taken: true},
		"too slow":  {flags: unix.CLONE_NEWIPC, ok: true, slow: true, taken: true},
		"nothing":   {flags: 0, ok: true},
		"none left": {flags: unix.CLONE_NEWUTS, ok: true, taken: true},
	} {
		t.Run(name, func(t *testing.T) {
			decided := make(chan struct{})
			Guess(func() (uintptr, bool) {
				if c.slow {
					<-decided
				}
				return c.flags, c.ok
			})
			guessing := spare.Load()
			for end := time.Now().Add(5 * time.Second); c.ok && !c.slow && guessing.makes.Load() == 0; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("it does not decide")
				}
			}
			thread := New(unix.CLONE_NEWUTS)
			close(decided)
			if got := thread == guessing; got != c.taken {
				t.Errorf("taken: %v", got)
			}
			if !thread.Makes(unix.CLONE_NEWUTS) || spare.Load() != nil {
				t.Error("it makes something else, or is still to be had")
			}
			got, tid := "", 0
			thread.Begin(func(uintptr) { got, tid = namespace(t), unix.Gettid() })
			thread.Wait()
			if got == ours || got == "" {
				t.Errorf("namespace %q, ours is %q", got, ours)
			}
			thread.Close()
			ends(t, tid)
		})
	}
}

// A thread that nobody needs ends, whether it has made namespaces or waits to be told which.
func TestDiscard(t *testing.T) {
	need.Root(t)
	Discard() // of nothing
	for name, ok := range map[string]bool{"guessed": true, "waits": false} {
		t.Run(name, func(t *testing.T) {
			tid := make(chan int, 1)
			Guess(func() (uintptr, bool) {
				tid <- unix.Gettid()
				return unix.CLONE_NEWUTS, ok
			})
			Discard()
			ends(t, <-tid)
			if spare.Load() != nil {
				t.Error("it is still to be had")
			}
		})
	}
}
