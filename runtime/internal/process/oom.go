package process

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// SetOOMScore says how ready the kernel should be to kill the process when memory runs
// out (proc_pid_oom_score_adj(5)).
type SetOOMScore struct{ Adjust int }

// OOMScore compiles process.oomScoreAdj. It must be the first thing that init does: its
// /proc is still the host's, it is still in ocirt's user namespace, and it may still open
// its own files there (once it is not dumpable, they belong to root).
func OOMScore(in *step.Input, emit step.Emit) error {
	if in.Process == nil || in.Process.OOMScoreAdj == nil {
		return nil
	}
	n := *in.Process.OOMScoreAdj
	if n < -1000 || n > 1000 {
		return fmt.Errorf("cannot set OOM score adjustment to %d: out of range (-1000 to 1000)", n)
	}
	emit("/process/oomScoreAdj", SetOOMScore{n})
	return nil
}

func (s SetOOMScore) String() string { return fmt.Sprintf("set OOM score adjustment to %d", s.Adjust) }

// Lower writes the calls.
func (s SetOOMScore) Lower(i *step.Init) error {
	text := itoa(s.Adjust)
	label := "set OOM score adjustment to " + text
	fd := i.Call(unix.SYS_OPENAT, unix.AT_FDCWD, i.String("/proc/self/oom_score_adj"), unix.O_WRONLY|unix.O_CLOEXEC, 0).
		Label(label).Keep()
	i.Call(unix.SYS_WRITE, fd, i.String(text), len(text)).Label(label)
	i.Call(unix.SYS_CLOSE, fd)
	return nil
}

// Explain adds to the errno of a call of Lower. What ocirt has itself is what init began
// with, and the kernel lets nobody go below that without CAP_SYS_RESOURCE.
func (s SetOOMScore) Explain(errno syscall.Errno) string {
	if errno != unix.EACCES {
		return ""
	}
	b, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return ""
	}
	return fmt.Sprintf("current value %s, and only CAP_SYS_RESOURCE may lower it", strings.TrimSpace(string(b)))
}
