package bare

// Numbers of system calls (arch/s390/kernel/syscalls/syscall.tbl).
const (
	Read    = 3
	Write   = 4
	Close   = 6
	Getpid  = 20
	Gettid  = 236
	Futex   = 238
	Tgkill  = 241
	Openat  = 288
	Unshare = 303
	Statx   = 379
)
