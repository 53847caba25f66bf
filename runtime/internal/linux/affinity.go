package linux

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Processors are those that the calling thread may run on (sched_getaffinity(2)), as far as
// there are not more than 1024.
func Processors() (set unix.CPUSet, err error) {
	err = unix.SchedGetaffinity(0, &set)
	return set, os.NewSyscallError("sched_getaffinity", err)
}

// Processor is the one that the calling thread is on (getcpu(2)).
func Processor() (int, error) {
	var cpu uint32
	_, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0)
	if errno != 0 {
		return -1, os.NewSyscallError("getcpu", errno)
	}
	return int(cpu), nil
}

// Without is a set without a processor; ok is false if that is no other set, or none is left.
func Without(set unix.CPUSet, processor int) (others unix.CPUSet, ok bool) {
	others = set
	if processor >= 0 {
		others.Clear(processor)
	}
	return others, others != set && others.Count() > 0
}

// SetProcessors lets the calling thread run on these processors only.
func SetProcessors(set *unix.CPUSet) error {
	return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, set))
}

// SetProcessorsOfAll does it with all threads that this process has at the moment.
func SetProcessorsOfAll(set *unix.CPUSet) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := unix.SchedSetaffinity(tid, set); err != nil && !errors.Is(err, unix.ESRCH) {
			return os.NewSyscallError("sched_setaffinity", err)
		}
	}
	return nil
}

// ProcessorBytes is a set as the kernel reads it.
func ProcessorBytes(set *unix.CPUSet) []byte {
	return slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(set)), unsafe.Sizeof(*set)))
}
