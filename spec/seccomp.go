package spec

import "github.com/opencontainers/runtime-spec/specs-go"

var seccompActions = [...]specs.LinuxSeccompAction{
	specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActErrno,
	specs.ActTrace, specs.ActAllow, specs.ActLog, specs.ActNotify,
}

var seccompArches = [...]specs.Arch{
	specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64,
	specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64,
	specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390,
	specs.ArchS390X, specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64,
	specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchSH, specs.ArchSHEB,
}

var seccompOperators = [...]specs.LinuxSeccompOperator{
	specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo,
	specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual,
}

// SECCOMP_FILTER_FLAG_TSYNC has no constant in specs-go but is in the
// specification.
var seccompFlags = [...]specs.LinuxSeccompFlag{
	"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog,
	specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagWaitKillableRecv,
}

// maxErrno is the largest value that a system call can return as an error.
const maxErrno = 4095

func (c *checker) seccomp(s *specs.LinuxSeccomp) {
	if s == nil {
		return
	}
	at := func(more ...any) []any { return append([]any{"linux", "seccomp"}, more...) }
	c.seccompAction(s.DefaultAction, "defaultAction", at)
	if s.DefaultAction == specs.ActNotify {
		c.errorAt("SCMP_ACT_NOTIFY is not allowed").at(at("defaultAction")...)
	}
	c.errno(s.DefaultErrnoRet, s.DefaultAction, "defaultErrnoRet", at)
	for i, arch := range s.Architectures {
		if !has(seccompArches[:], arch) {
			c.unknownWord(string(arch), words(seccompArches[:])).at(at("architectures", i)...)
		}
	}
	for i, flag := range s.Flags {
		if !has(seccompFlags[:], flag) {
			c.unknownWord(string(flag), words(seccompFlags[:])).at(at("flags", i)...)
		}
	}
	notify := false
	for i := range s.Syscalls {
		c.seccompRule(&s.Syscalls[i], func(more ...any) []any {
			return append([]any{"linux", "seccomp", "syscalls", i}, more...)
		})
		notify = notify || s.Syscalls[i].Action == specs.ActNotify
	}
	switch {
	case notify && s.ListenerPath == "":
		c.errorAt("required with SCMP_ACT_NOTIFY").at(at("listenerPath")...)
	case s.ListenerPath == "" && s.ListenerMetadata != "":
		c.errorAt("only allowed together with listenerPath").at(at("listenerMetadata")...)
	}
}

func (c *checker) seccompAction(a specs.LinuxSeccompAction, name string, at spot) {
	switch {
	case a == "":
		c.missing().at(at(name)...)
	case !has(seccompActions[:], a):
		c.unknownWord(string(a), words(seccompActions[:])).
			words("string " + bare(string(a)) + " is not a valid action for seccomp").at(at(name)...)
	}
}

func (c *checker) errno(n *uint, a specs.LinuxSeccompAction, name string, at spot) {
	switch {
	case n == nil:
	case a != specs.ActErrno && a != specs.ActTrace && has(seccompActions[:], a):
		c.errorf("not allowed with %s", a).at(at(name)...)
	case *n > maxErrno:
		c.errorf("larger than %d, found %d", maxErrno, *n).at(at(name)...)
	}
}

func (c *checker) seccompRule(r *specs.LinuxSyscall, at spot) {
	if len(r.Names) == 0 {
		c.errorAt("must not be empty").at(at("names")...)
	}
	for i, name := range r.Names {
		switch {
		case name == "":
			c.errorAt("must not be empty").at(at("names", i)...)
		case name == "write" && r.Action == specs.ActNotify:
			// The listener's descriptor is handed over after the filter is
			// loaded; a notified write would wait for somebody who has not
			// got it yet.
			c.errorAt(`"write" cannot be notified`).
				words("SCMP_ACT_NOTIFY cannot be used for the write syscall").at(at("names", i)...)
		}
	}
	c.seccompAction(r.Action, "action", at)
	c.errno(r.ErrnoRet, r.Action, "errnoRet", at)
	for i, arg := range r.Args {
		if arg.Index > 5 {
			c.errorf("out of range (0 to 5), found %d", arg.Index).at(at("args", i, "index")...)
		}
		switch {
		case arg.Op == "":
			c.missing().at(at("args", i, "op")...)
		case !has(seccompOperators[:], arg.Op):
			c.unknownWord(string(arg.Op), words(seccompOperators[:])).at(at("args", i, "op")...)
		}
	}
}
