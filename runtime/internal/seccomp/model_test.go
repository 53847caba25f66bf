package seccomp

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// model says what a profile means, slowly, call by call: nothing here is shared with the
// compiler but the tables.
type model struct {
	profile *specs.LinuxSeccomp
	machine *machine
	byName  []map[string]uint32 // for each architecture of the machine
	byCall  []map[uint32][]string
	newest  []uint32
	any     []bool
}

var socketcalls = []string{
	"", "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send", "recv",
	"sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
}

var ipcs = map[uint64]string{
	1: "semop", 2: "semget", 3: "semctl", 4: "semtimedop", 11: "msgsnd", 12: "msgrcv", 13: "msgget", 14: "msgctl",
	21: "shmat", 22: "shmdt", 23: "shmget", 24: "shmctl",
}

func newModel(p *specs.LinuxSeccomp, m *machine) *model {
	o := &model{profile: p, machine: m}
	for _, b := range m.abis {
		byName, byCall := map[string]uint32{}, map[uint32][]string{}
		for i, n := range numbers[b.column] {
			number := uint32(n)
			switch {
			case n == absent:
				continue
			case n > 0xf000:
				number = 0xf0000 + number&0xfff
			}
			byName[nameAt(i)] = number + b.base
			byCall[number+b.base] = append(byCall[number+b.base], nameAt(i))
		}
		newest, found := uint32(0), false
		for _, s := range p.Syscalls {
			for _, name := range s.Names {
				n, ok := byName[name]
				if !ok && slices.Contains(socketcalls, name) && !drops(p, &s) {
					n, ok = byName["socketcall"]
				}
				if !ok && has(ipcs, name) && !drops(p, &s) {
					n, ok = byName["ipc"]
				}
				if ok && n < 0xf0000 || ok && b.base != 0 {
					newest, found = max(newest, n), true
				}
			}
		}
		o.byName, o.byCall = append(o.byName, byName), append(o.byCall, byCall)
		o.newest, o.any = append(o.newest, newest), append(o.any, found)
	}
	return o
}

func has(m map[uint64]string, name string) bool {
	for _, v := range m {
		if v == name {
			return true
		}
	}
	return false
}

// drops reports whether an entry says nothing about socketcall and ipc.
func drops(p *specs.LinuxSeccomp, s *specs.LinuxSyscall) bool {
	a, b := mustAction(s.Action, s.ErrnoRet), mustAction(p.DefaultAction, p.DefaultErrnoRet)
	return a == b || len(s.Args) > 0 && strictness(a) < strictness(b)
}

// abiOf returns the architecture of a call, or -1 if it is not one of the profile.
func (o *model) abiOf(d *data) int {
	for i, b := range o.machine.abis {
		x32 := b.name == specs.ArchX32
		if b.audit != d.arch || d.arch == unix.AUDIT_ARCH_X86_64 && x32 != (d.number >= 0x40000000) {
			continue
		}
		if i > 0 && !slices.Contains(o.profile.Architectures, b.name) {
			return -1
		}
		return i
	}
	return -1
}

func (o *model) decide(d *data) uint32 {
	p := o.profile
	fallback := mustAction(p.DefaultAction, p.DefaultErrnoRet)
	i := o.abiOf(d)
	if i < 0 {
		if d.arch == unix.AUDIT_ARCH_X86_64 && d.number == 0xffffffff {
			return fallback
		}
		return unix.SECCOMP_RET_KILL_THREAD
	}
	b := &o.machine.abis[i]
	names := o.byCall[i][d.number]
	best, found := uint32(0), false
	consider := func(ret uint32) {
		if ret != fallback && (!found || strictness(ret) > strictness(best)) {
			best, found = ret, true
		}
	}
	sure := slices.IndexFunc(p.Syscalls, func(s specs.LinuxSyscall) bool {
		return len(s.Args) == 0 && mustAction(s.Action, s.ErrnoRet) != fallback &&
			slices.ContainsFunc(s.Names, func(name string) bool { return slices.Contains(names, name) })
	})
	for j := range p.Syscalls {
		s := &p.Syscalls[j]
		ret := mustAction(s.Action, s.ErrnoRet)
		for _, name := range s.Names {
			if slices.Contains(names, name) && matches(s.Args, d, b.wide) && (len(s.Args) > 0 || j == sure) {
				consider(ret)
			}
			mux := slices.Contains(names, "socketcall") && int(uint32(d.args[0])) < len(socketcalls) &&
				socketcalls[uint32(d.args[0])] == name ||
				slices.Contains(names, "ipc") && ipcs[d.args[0]&0xffff] == name
			if mux && (len(s.Args) == 0 || strictness(ret) >= strictness(fallback)) && matchesVia(s.Args, d, b.wide, sure >= 0) {
				consider(ret)
			}
		}
	}
	if found {
		return best
	}
	private := b.name == specs.ArchARM && d.number >= 0xf0000 && d.number < 0xf0010
	lenient := p.DefaultAction == specs.ActAllow || p.DefaultAction == specs.ActLog || p.DefaultAction == specs.ActTrace
	newer := o.any[i] && d.number > o.newest[i] && !private && d.number >= b.base
	zero := o.any[i] && d.number == 0 && (b.name == specs.ArchS390 || b.name == specs.ArchS390X)
	if !lenient && (newer || zero) {
		enosys := uint32(unix.ENOSYS)
		if strings.Contains(string(b.name), "MIPS") {
			enosys = 89
		}
		if strings.Contains(string(b.name), "PARISC") {
			enosys = 251
		}
		return unix.SECCOMP_RET_ERRNO | enosys
	}
	return fallback
}

// matchesVia is matches for a call that is reached by another one, whose first argument
// says which. What it compares otherwise counts for nothing against a rule that is sure.
func matchesVia(args []specs.LinuxSeccompArg, d *data, wide, sure bool) bool {
	seen := map[uint]int{}
	anyOf, all := false, true
	for _, a := range args {
		seen[a.Index]++
		ok := a.Index == 0 || !sure && compare(&a, d.args[a.Index], wide)
		anyOf, all = anyOf || ok, all && ok
	}
	for _, n := range seen {
		if n > 1 {
			return anyOf
		}
	}
	return all
}

func matches(args []specs.LinuxSeccompArg, d *data, wide bool) bool {
	seen := map[uint]int{}
	any, all := false, true
	for _, a := range args {
		seen[a.Index]++
		ok := compare(&a, d.args[a.Index], wide)
		any, all = any || ok, all && ok
	}
	for _, n := range seen {
		if n > 1 {
			return any
		}
	}
	return all
}

func compare(c *specs.LinuxSeccompArg, v uint64, wide bool) bool {
	if !wide {
		v = uint64(uint32(v))
		// The argument could be negative, and the profile has the number in 64 bits.
		small := func(n uint64) bool { return n >= 0xffffffff80000000 }
		c := *c
		switch {
		case c.Op == specs.OpMaskedEqual && c.Value>>32 == 0xffffffff && small(c.Value&c.ValueTwo):
			return uint32(v)&uint32(c.Value) == uint32(c.ValueTwo&c.Value)
		case c.Op != specs.OpMaskedEqual && small(c.Value):
			c.Value &= 0xffffffff
		}
		return compare(&c, v, true)
	}
	switch c.Op {
	case specs.OpEqualTo:
		return v == c.Value
	case specs.OpNotEqual:
		return v != c.Value
	case specs.OpLessThan:
		return v < c.Value
	case specs.OpLessEqual:
		return v <= c.Value
	case specs.OpGreaterThan:
		return v > c.Value
	case specs.OpGreaterEqual:
		return v >= c.Value
	}
	return v&c.Value == c.ValueTwo&c.Value
}

func mustAction(a specs.LinuxSeccompAction, errno *uint) uint32 {
	ret, err := action(a, errno)
	if err != nil {
		panic(err)
	}
	return ret
}

// strictness ranks the actions as seccomp(2) lists them.
func strictness(ret uint32) int {
	order := []uint32{
		unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE, unix.SECCOMP_RET_USER_NOTIF,
		unix.SECCOMP_RET_ERRNO, unix.SECCOMP_RET_TRAP, unix.SECCOMP_RET_KILL_THREAD, unix.SECCOMP_RET_KILL_PROCESS,
	}
	return slices.Index(order, ret&unix.SECCOMP_RET_ACTION_FULL)
}
