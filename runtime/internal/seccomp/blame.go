package seccomp

import (
	"fmt"
	goruntime "runtime"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// verdict is what a profile makes of a call of a program on this machine, as far as that is
// sure before the program runs.
func verdict(p *specs.LinuxSeccomp, d *entry.Description) (Case, string, bool) {
	m, ok := machineOf(native(goruntime.GOARCH))
	if !ok {
		return Case{}, "", false
	}
	e := explainer{profile: p, machine: &m, abi: &m.abis[0], number: uint32(d.Trap), unknown: d.Slots}
	var err error
	if e.fallback, err = action(p.DefaultAction, p.DefaultErrnoRet); err != nil {
		return Case{}, "", false
	}
	for _, a := range d.Args {
		e.args = append(e.args, uint64(a))
	}
	if e.names = e.abi.namesOf(e.number); len(e.names) == 0 {
		return Case{}, "", false
	}
	cases, err := e.cases()
	if err != nil || len(cases) != 1 {
		return Case{}, "", false
	}
	return cases[0], e.names[0], true
}

// Denied says which property makes a call of ours fail with an errno, if it is the profile.
func Denied(p *specs.LinuxSeccomp, d *entry.Description, errno unix.Errno) string {
	c, name, ok := verdict(p, d)
	if !ok || c.Ret != unix.SECCOMP_RET_ERRNO|uint32(errno) {
		return ""
	}
	return forbids(name, c.Pointer)
}

// Killer says which of these calls of ours ends the process that makes it, if it is sure
// that one does.
func Killer(p *specs.LinuxSeccomp, calls []entry.Description) string {
	if !Kills(p) {
		return ""
	}
	var seen []uintptr
	for i := range calls {
		d := &calls[i]
		if slices.Contains(seen, d.Trap) {
			continue
		}
		c, name, ok := verdict(p, d)
		if ok && severity(c.Ret) <= severity(unix.SECCOMP_RET_TRAP) {
			return forbids(name, c.Pointer)
		}
		if ok {
			seen = append(seen, d.Trap)
		}
	}
	return ""
}

// Kills reports whether a profile ends a process at all, for a call of the native
// architecture.
func Kills(p *specs.LinuxSeccomp) bool {
	kills := func(a specs.LinuxSeccompAction) bool {
		return a == specs.ActKill || a == specs.ActKillThread || a == specs.ActKillProcess || a == specs.ActTrap
	}
	return kills(p.DefaultAction) || slices.ContainsFunc(p.Syscalls, func(s specs.LinuxSyscall) bool { return kills(s.Action) })
}

func forbids(name, pointer string) string {
	return fmt.Sprintf("linux.seccomp forbids %s (%s)", name, pointer)
}
