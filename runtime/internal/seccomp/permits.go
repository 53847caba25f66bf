package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// Permits reports whether it is sure that a profile lets all of these calls of ours through,
// without asking anybody.
func Permits(p *specs.LinuxSeccomp, calls []entry.Description) bool {
	return !slices.ContainsFunc(calls, func(d entry.Description) bool {
		c, _, ok := verdict(p, &d)
		ret := c.Ret & unix.SECCOMP_RET_ACTION_FULL
		return !ok || ret != unix.SECCOMP_RET_ALLOW && ret != unix.SECCOMP_RET_LOG
	})
}
