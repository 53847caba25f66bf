package crash

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// canFail says whether this architecture's calls can be made to fail.
const canFail = true

// archPrctl is made by the Go runtime before it can say anything.
const archPrctl = unix.SYS_ARCH_PRCTL

// skipCall turns the call that a thread is about to make into none.
func skipCall(tid int) {
	var r unix.PtraceRegs
	if unix.PtraceGetRegs(tid, &r) == nil {
		r.Orig_rax = ^uint64(0)
		_ = unix.PtraceSetRegs(tid, &r)
	}
}

// setResult replaces the result of the call that a thread has made.
func setResult(tid int, errno syscall.Errno) {
	var r unix.PtraceRegs
	if unix.PtraceGetRegs(tid, &r) == nil {
		r.Rax = uint64(-int64(errno))
		_ = unix.PtraceSetRegs(tid, &r)
	}
}

// callNumber is the number of the system call that a stopped thread is in, or was last.
func callNumber(tid int) int64 {
	var r unix.PtraceRegs
	if unix.PtraceGetRegs(tid, &r) != nil {
		return -1
	}
	return int64(r.Orig_rax)
}
