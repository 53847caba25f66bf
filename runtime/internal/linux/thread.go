package linux

import (
	"bytes"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ParentSignal is the signal that the calling thread gets when the thread that started it
// ends; 0: none (prctl(2), PR_GET_PDEATHSIG).
func ParentSignal() unix.Signal {
	var sig int32
	_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&sig)), 0)
	if errno != 0 {
		return 0
	}
	return unix.Signal(sig)
}

// SetParentSignal is what ParentSignal then returns.
func SetParentSignal(sig unix.Signal) error {
	return os.NewSyscallError("PR_SET_PDEATHSIG", unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(sig), 0, 0, 0))
}

// ThreadName is the calling thread's name (prctl(2), PR_GET_NAME): the process's, if nobody
// has given threads names of their own.
func ThreadName() string {
	var name [16]byte
	_, _, _ = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_NAME, uintptr(unsafe.Pointer(&name)), 0)
	text, _, _ := bytes.Cut(name[:], []byte{0})
	return string(text)
}

// SetProcessName gives the process the name that execve of this path gives it, as far as
// that is possible (proc_pid_comm(5)).
func SetProcessName(path string) {
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(path)), 0)
}

// SignalSet is a set of signals as the kernel has it.
func SignalSet(list ...unix.Signal) (set uint64) {
	for _, sig := range list {
		set |= 1 << (sig - 1)
	}
	return set
}

// Signalfd makes a descriptor that does not block, from which the signals of a set can be
// read while they are blocked (signalfd(2)).
func Signalfd(set uint64) (int, error) {
	var s unix.Sigset_t
	s.Val[0] = set
	fd, err := unix.Signalfd(-1, &s, unix.SFD_NONBLOCK|unix.SFD_CLOEXEC)
	return fd, os.NewSyscallError("signalfd", err)
}

// BlockSignals blocks all signals for the calling thread, and returns those that were.
func BlockSignals() (old uint64, err error) {
	all, was := unix.Sigset_t{}, unix.Sigset_t{}
	all.Val[0] = ^uint64(0)
	err = unix.PthreadSigmask(unix.SIG_SETMASK, &all, &was)
	return was.Val[0], os.NewSyscallError("rt_sigprocmask", err)
}

// SetSignalMask says which signals are blocked for the calling thread.
func SetSignalMask(set uint64) error {
	var s unix.Sigset_t
	s.Val[0] = set
	return os.NewSyscallError("rt_sigprocmask", unix.PthreadSigmask(unix.SIG_SETMASK, &s, nil))
}
