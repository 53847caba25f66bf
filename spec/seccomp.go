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
	at := []any{"linux", "seccomp"}
	if !missing(c, s.DefaultAction, under(at, "defaultAction")...) {
		c.seccompAction(s.DefaultAction, under(at, "defaultAction"))
	}
	if s.DefaultAction == specs.ActNotify {
		c.errorAt("SCMP_ACT_NOTIFY is not allowed").at(under(at, "defaultAction")...)
	}
	c.errno(s.DefaultErrnoRet, s.DefaultAction, under(at, "defaultErrnoRet"))
	for i, arch := range s.Architectures {
		knows(c, arch, seccompArches[:], under(at, "architectures", i)...)
	}
	for i, flag := range s.Flags {
		knows(c, flag, seccompFlags[:], under(at, "flags", i)...)
	}
	notify := false
	for i := range s.Syscalls {
		c.seccompRule(&s.Syscalls[i], under(at, "syscalls", i))
		notify = notify || s.Syscalls[i].Action == specs.ActNotify
	}
	switch {
	case notify && s.ListenerPath == "":
		c.errorAt("required with SCMP_ACT_NOTIFY").at(under(at, "listenerPath")...)
	case s.ListenerPath == "" && s.ListenerMetadata != "":
		c.errorAt("only allowed together with listenerPath").at(under(at, "listenerMetadata")...)
	}
}

func (c *checker) seccompAction(a specs.LinuxSeccompAction, at []any) {
	if !has(seccompActions[:], a) {
		c.unknownWord(a, seccompActions[:]).
			words("string " + bare(string(a)) + " is not a valid action for seccomp").at(at...)
	}
}

func (c *checker) errno(n *uint, a specs.LinuxSeccompAction, at []any) {
	switch {
	case n == nil:
	case a != specs.ActErrno && a != specs.ActTrace && has(seccompActions[:], a):
		c.errorf("not allowed with %s", a).at(at...)
	case *n > maxErrno:
		c.errorf("larger than %d, found %d", maxErrno, *n).at(at...)
	}
}

func (c *checker) seccompRule(r *specs.LinuxSyscall, at []any) {
	if len(r.Names) == 0 {
		c.errorAt("must not be empty").at(under(at, "names")...)
	}
	for i, name := range r.Names {
		switch {
		case name == "":
			c.errorAt("must not be empty").at(under(at, "names", i)...)
		case name == "write" && r.Action == specs.ActNotify:
			// The listener's descriptor is handed over after the filter is
			// loaded; a notified write would wait for somebody who has not
			// got it yet.
			c.errorAt(`"write" cannot be notified`).
				words("SCMP_ACT_NOTIFY cannot be used for the write syscall").at(under(at, "names", i)...)
		}
	}
	if !missing(c, r.Action, under(at, "action")...) {
		c.seccompAction(r.Action, under(at, "action"))
	}
	c.errno(r.ErrnoRet, r.Action, under(at, "errnoRet"))
	for i, arg := range r.Args {
		if arg.Index > 5 {
			c.errorf("out of range (0 to 5), found %d", arg.Index).at(under(at, "args", i, "index")...)
		}
		if !missing(c, arg.Op, under(at, "args", i, "op")...) {
			knows(c, arg.Op, seccompOperators[:], under(at, "args", i, "op")...)
		}
	}
}
