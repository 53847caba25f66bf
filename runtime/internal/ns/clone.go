package ns

import (
	"runtime"

	"golang.org/x/sys/unix"

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

// fork writes a clone whose parent tells the child's pid and then makes the calls that
// parent writes.
func (s *Set) fork(p *entry.Program, flags int, label string, point *int, parent func(*entry.Program)) {
	note := p.Note()
	p.Call(unix.SYS_CLONE, cloneArgs(flags|unix.CLONE_PARENT_SETTID, entry.Addr(note.Value))...).Label(label).Fork(func(p *entry.Program) {
		*point = p.TellNote("report the fork", note)
		parent(p)
	})
}

// forkInto is fork into a version 2 cgroup, open as group (clone3(2)). The child's end is
// signalled as this process's is, which CLONE_PARENT has no choice about.
func (s *Set) forkInto(p *entry.Program, flags, group int, label string, point *int, parent func(*entry.Program)) {
	note := p.Note()
	args := p.Words(uint64(flags|unix.CLONE_PARENT_SETTID)|unix.CLONE_INTO_CGROUP, 0, 0, uint64(note.Value), 0, 0, 0, 0, 0, 0, uint64(group))
	p.Call(unix.SYS_CLONE3, args, 11*8).Label(label).Fork(func(p *entry.Program) {
		*point = p.TellNote("report the fork", note)
		parent(p)
	})
}
