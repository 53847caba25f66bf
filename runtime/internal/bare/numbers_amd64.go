package bare

// Numbers of system calls (arch/x86/entry/syscalls/syscall_64.tbl).
const (
	Read    = 0
	Write   = 1
	Close   = 3
	Getpid  = 39
	Gettid  = 186
	Futex   = 202
	Tgkill  = 234
	Openat  = 257
	Unshare = 272
	Statx   = 332
)
