package launch

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// An aside sees to it that init, the thread that builds and the one that makes the cgroups do
// not wait for each other's processors. Some kernels, those of virtual machines above all, let a
// thread wait for the processor it was on although another one is idle.
//
// Init is born to the thread's processor, which is free while that waits for the birth, and
// leaves it to the thread when its groups are there: whoever made them has no more to do.
// When it becomes the container's process it runs on all processors.
type aside struct {
	others unix.CPUSet  // all but the one that init was born on
	pid    atomic.Int32 // init; 0: it is not born, or has been let go
}

// prepare keeps this thread, and what is born of it, on the processor it is on, until restore.
func (a *aside) prepare(in *step.Input) (restore func()) {
	if in.Process == nil { // nothing would let it run on all of them again
		return func() {}
	}
	all, err := linux.Processors()
	if err != nil {
		return func() {}
	}
	here, err := linux.Processor()
	if err != nil {
		return func() {}
	}
	others, ok := linux.Without(all, here)
	if !ok {
		return func() {}
	}
	var one unix.CPUSet
	one.Set(here)
	if linux.SetProcessors(&one) != nil {
		return func() {}
	}
	a.others = others
	return func() { _ = linux.SetProcessors(&all) }
}

// apply lets init go on elsewhere, once it is there.
func (a *aside) apply() {
	if pid := a.pid.Swap(0); pid != 0 && a.others.Count() > 0 {
		_ = unix.SchedSetaffinity(int(pid), &a.others)
	}
}
