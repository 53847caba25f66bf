package runtime

import (
	"sync/atomic"

	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/thread"
	"github.com/ocirt/ocirt/spec"
)

// Ready starts the thread that the next Create needs. A program that has something else to do
// first, such as to read its command line, saves the time that the kernel takes for it. If the
// bundle is known by now the thread begins to make its namespaces; nil: it waits for Create.
func Ready(b *spec.Bundle) {
	if b == nil {
		thread.Ready()
		return
	}
	begun.Store(&birth{b, birthplace(b)})
}

// A birth is what Ready has begun.
type birth struct {
	bundle *spec.Bundle
	thread *thread.Thread
}

var begun atomic.Pointer[birth]

// birthplace starts the thread that init is born of, if it is born of one: it makes the
// namespaces while everything else is checked and compiled. If that finds a mistake they are
// gone with the thread.
func birthplace(b *spec.Bundle) *thread.Thread {
	set := ns.Compile(&step.Input{Bundle: b})
	if old := begun.Swap(nil); old != nil {
		if old.bundle == b && set.Direct() && old.thread.Makes(set.ThreadFlags()) {
			return old.thread
		}
		old.thread.Close()
	}
	if !set.Direct() {
		thread.Discard() // or it would keep what it has guessed as long as this process runs
		return nil
	}
	return thread.New(set.ThreadFlags())
}
