package seccomp

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// shorten is a negative number of 64 bits as one of 32, where arguments have no more. Other
// numbers stay what they are, also if no argument can be as large.
func shorten(v uint64) uint64 {
	const least = 1<<64 - 1<<31
	if v >= least {
		return v & (1<<32 - 1)
	}
	return v
}

// maskOf is what of valueTwo counts: within the mask, and what of it cannot be met.
func maskOf(c *specs.LinuxSeccompArg, wide bool) uint64 {
	if wide {
		return c.Value
	}
	return 1<<64 - 1
}

// describe is what a filter returns, in the words of config.json.
func describe(ret uint32, m *machine) string {
	data := ret & unix.SECCOMP_RET_DATA
	switch ret & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_KILL_PROCESS:
		return string(specs.ActKillProcess)
	case unix.SECCOMP_RET_KILL_THREAD:
		return string(specs.ActKillThread)
	case unix.SECCOMP_RET_TRAP:
		return string(specs.ActTrap)
	case unix.SECCOMP_RET_ERRNO:
		if name := m.errnoName(data); name != "" {
			return fmt.Sprintf("%s (%s)", specs.ActErrno, name)
		}
		return fmt.Sprintf("%s (%d)", specs.ActErrno, data)
	case unix.SECCOMP_RET_TRACE:
		return fmt.Sprintf("%s (%d)", specs.ActTrace, data)
	case unix.SECCOMP_RET_USER_NOTIF:
		return string(specs.ActNotify)
	case unix.SECCOMP_RET_LOG:
		return string(specs.ActLog)
	case unix.SECCOMP_RET_ALLOW:
		return string(specs.ActAllow)
	}
	return fmt.Sprintf("%#x", ret)
}

// errnoName is the name of an errno on a machine, if that is known here: above ERANGE each
// system that Linux had to be like has numbers of its own.
func (m *machine) errnoName(n uint32) string {
	switch {
	case n == m.noSuchCall():
		return "ENOSYS"
	case n > uint32(unix.ERANGE) && m.noSuchCall() != uint32(unix.ENOSYS):
		return ""
	}
	return unix.ErrnoName(unix.Errno(n))
}

// strict reports whether an action keeps the call from being made, so that calls which the
// profile cannot have known shall not exist rather than be met by it.
func strict(ret uint32) bool {
	switch ret & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE:
		return false
	}
	return true
}

// conditionText is a condition as a person writes it.
func conditionText(c *specs.LinuxSeccompArg) string {
	op := map[specs.LinuxSeccompOperator]string{
		specs.OpEqualTo: "==", specs.OpNotEqual: "!=", specs.OpLessThan: "<", specs.OpLessEqual: "<=",
		specs.OpGreaterThan: ">", specs.OpGreaterEqual: ">=",
	}[c.Op]
	if c.Op == specs.OpMaskedEqual {
		return fmt.Sprintf("arg%d & %s == %s", c.Index, plain(c.Value), plain(c.ValueTwo&c.Value))
	}
	return fmt.Sprintf("arg%d %s %s", c.Index, op, plain(c.Value))
}

// plain writes small numbers in decimal, and what looks like a set of bits in hexadecimal.
func plain(v uint64) string {
	if v < 1<<12 {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%#x", v)
}

// ArchOf finds an architecture by a word that people use for it: the name of config.json,
// that without its beginning, or Go's.
func ArchOf(word string) (specs.Arch, bool) {
	up := strings.ToUpper(word)
	switch up {
	case "AMD64":
		up = "X86_64"
	case "386", "I386", "I686":
		up = "X86"
	case "ARM64":
		up = "AARCH64"
	case "LOONG64":
		up = "LOONGARCH64"
	}
	a := specs.Arch("SCMP_ARCH_" + strings.TrimPrefix(up, "SCMP_ARCH_"))
	_, ok := machineOf(a)
	return a, ok
}

// Arches are all architectures that have a table, sorted.
func Arches() []specs.Arch {
	return []specs.Arch{
		specs.ArchAARCH64, specs.ArchARM, specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchMIPS, specs.ArchMIPS64,
		specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32, specs.ArchPARISC,
		specs.ArchPARISC64, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchRISCV64, specs.ArchS390,
		specs.ArchS390X, specs.ArchSH, specs.ArchSHEB, specs.ArchX32, specs.ArchX86, specs.ArchX86_64,
	}
}
