package ns

import (
	"runtime"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// cloneArgs are the arguments of clone(2) without a stack: the child goes on with its copy
// of the parent's. The order of flags and stack is the other way round on s390x
// (CONFIG_CLONE_BACKWARDS2). The parent finds the child's pid at pid.
func cloneArgs(flags int, pid entry.Addr) []any {
	if runtime.GOARCH == "s390x" {
		return []any{0, flags, pid, 0, 0}
	}
	return []any{flags, 0, pid, 0, 0}
}
