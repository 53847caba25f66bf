package bare

// Numbers of system calls (arch/powerpc/kernel/syscalls/syscall.tbl).
const (
	Read    = 3
	Write   = 4
	Close   = 6
	Getpid  = 20
	Gettid  = 207
	Futex   = 221
	Tgkill  = 250
	Unshare = 282
	Openat  = 286
	Statx   = 383
)
