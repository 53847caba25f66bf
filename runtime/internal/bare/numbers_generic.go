//go:build arm64 || riscv64 || loong64

package bare

// Numbers of system calls (include/uapi/asm-generic/unistd.h).
const (
	Openat  = 56
	Close   = 57
	Read    = 63
	Write   = 64
	Unshare = 97
	Futex   = 98
	Tgkill  = 131
	Getpid  = 172
	Gettid  = 178
	Statx   = 291
)
