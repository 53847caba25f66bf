package linux

import (
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/bare"
)

// The numbers in package bare, which cannot import those of package unix, are the same: an
// index that is not 0 does not compile.
var (
	same [1]struct{}

	_ = same[bare.Read-unix.SYS_READ]
	_ = same[bare.Write-unix.SYS_WRITE]
	_ = same[bare.Close-unix.SYS_CLOSE]
	_ = same[bare.Getpid-unix.SYS_GETPID]
	_ = same[bare.Gettid-unix.SYS_GETTID]
	_ = same[bare.Futex-unix.SYS_FUTEX]
	_ = same[bare.Openat-unix.SYS_OPENAT]
	_ = same[bare.Unshare-unix.SYS_UNSHARE]
	_ = same[bare.Statx-unix.SYS_STATX]
	_ = same[bare.Tgkill-unix.SYS_TGKILL]
)
