package launch

import (
	"os/exec"
	"runtime"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// What is born of the thread begins on its processor, is sent away from there, and the thread
// may run where it could before.
func TestAside(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all, err := linux.Processors()
	if err != nil {
		t.Fatal(err)
	}
	need.Feature(t, "processors", all.Count() > 1, "there is only one processor")
	defer func() { _ = linux.SetProcessors(&all) }()
	var a aside
	back := a.prepare(&step.Input{Process: &specs.Process{}})
	if here, err := linux.Processors(); err != nil || here.Count() != 1 {
		t.Errorf("the thread may run on %d processors, %v", here.Count(), err)
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	back()
	if now, err := linux.Processors(); err != nil || now != all {
		t.Errorf("the thread may run on %d processors, %v", now.Count(), err)
	}
	a.pid.Store(int32(child.Process.Pid))
	a.apply()
	var its unix.CPUSet
	if err := unix.SchedGetaffinity(child.Process.Pid, &its); err != nil || its.Count() != all.Count()-1 {
		t.Errorf("the child may run on %d processors of %d, %v", its.Count(), all.Count(), err)
	}

	// Nothing is done for what would not be let run everywhere again.
	var idle aside
	idle.prepare(&step.Input{})()
	if now, err := linux.Processors(); err != nil || now != all || idle.others.Count() != 0 {
		t.Errorf("%d processors, %v", now.Count(), err)
	}
}
