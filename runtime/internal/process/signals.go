package process

import (
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// ResetSignals sets every signal to its default action and unblocks all. execve keeps
// ignored and blocked signals as they are, so that a container would inherit what its
// caller's shell or daemon ignores.
type ResetSignals struct{}

// Signals compiles what every process of a container needs.
func Signals(in *step.Input, emit step.Emit) error {
	if in.Process != nil {
		emit("ocirt", ResetSignals{})
	}
	return nil
}

func (ResetSignals) String() string { return "reset ignored and blocked signals" }

const (
	lastSignal = 64 // _NSIG of all architectures but mips
	sigsetSize = lastSignal / 8
	setMask    = 2 // SIG_SETMASK of all architectures but alpha, mips and sparc
)

// Lower writes the calls. An action of zeros is SIG_DFL without flags in every
// architecture's layout of struct sigaction, and none is longer than 64 bytes. Which
// signals are ignored only the process knows, so all are reset; a call costs 0.1 µs.
func (ResetSignals) Lower(i *step.Init) error {
	var zero any = i.Bytes(make([]byte, 64)) // boxed once, not for each call
	for sig := 1; sig <= lastSignal; sig++ {
		if sig == int(unix.SIGKILL) || sig == int(unix.SIGSTOP) {
			continue
		}
		i.Call(unix.SYS_RT_SIGACTION, sig, zero, 0, sigsetSize).Label("reset a signal")
	}
	i.Call(unix.SYS_RT_SIGPROCMASK, setMask, zero, 0, sigsetSize).Label("unblock signals")
	return nil
}
