package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// old executes a command as on a kernel that knows no pid namespace as an option of a
// procfs, as before Linux 6.17: no file system takes a descriptor for an option.
func old(command []string) error {
	const load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	second := uint32(24) // where the second argument's lower half is in struct seccomp_data
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		second += 4
	}
	filter := []unix.SockFilter{
		{Code: load, K: 0},
		{Code: equal, Jf: 3, K: unix.SYS_FSCONFIG},
		{Code: load, K: second},
		{Code: equal, Jf: 1, K: unix.FSCONFIG_SET_FD},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("cannot load a filter: %w", errno)
	}
	return unix.Exec(command[0], command, os.Environ())
}
