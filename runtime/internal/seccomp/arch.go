package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A machine is what a kernel can run. Architectures that it cannot run need no part of a
// filter: the kernel will never ask about them.
type machine struct {
	big  bool  // big-endian
	abis []abi // the native one first
}

// An abi is one way of calling the kernel.
type abi struct {
	name   specs.Arch
	audit  uint32 // what the kernel calls it when it asks (AUDIT_ARCH_*)
	column uint8  // of numbers
	wide   bool   // arguments have 64 bits
	base   uint32 // added to the numbers of the table
	zero   bool   // the kernel turns a number that it does not know into 0
}

// x32Bit is set in the numbers of x32, which has no AUDIT_ARCH of its own.
const x32Bit = 0x40000000

// machineOf returns the machine of a GOARCH. It is not known for those that ocirt does not
// run on.
func machineOf(goarch string) (machine, bool) {
	switch goarch {
	case "amd64":
		return machine{abis: []abi{
			{name: specs.ArchX86_64, audit: unix.AUDIT_ARCH_X86_64, column: columnX86_64, wide: true},
			{name: specs.ArchX32, audit: unix.AUDIT_ARCH_X86_64, column: columnX32, wide: true, base: x32Bit},
			{name: specs.ArchX86, audit: unix.AUDIT_ARCH_I386, column: columnX86},
		}}, true
	case "arm64":
		return machine{abis: []abi{
			{name: specs.ArchAARCH64, audit: unix.AUDIT_ARCH_AARCH64, column: columnAARCH64, wide: true},
			{name: specs.ArchARM, audit: unix.AUDIT_ARCH_ARM, column: columnARM},
		}}, true
	case "riscv64":
		return machine{abis: []abi{
			{name: specs.ArchRISCV64, audit: unix.AUDIT_ARCH_RISCV64, column: columnRISCV64, wide: true},
		}}, true
	case "ppc64le":
		return machine{abis: []abi{
			{name: specs.ArchPPC64LE, audit: unix.AUDIT_ARCH_PPC64LE, column: columnPPC64LE, wide: true},
		}}, true
	case "s390x":
		return machine{big: true, abis: []abi{
			{name: specs.ArchS390X, audit: unix.AUDIT_ARCH_S390X, column: columnS390X, wide: true, zero: true},
			{name: specs.ArchS390, audit: unix.AUDIT_ARCH_S390, column: columnS390, zero: true},
		}}, true
	case "loong64":
		return machine{abis: []abi{
			{name: specs.ArchLOONGARCH64, audit: unix.AUDIT_ARCH_LOONGARCH64, column: columnLOONGARCH64, wide: true},
		}}, true
	}
	return machine{}, false
}

// Values of the tables.
const (
	viaIPC = 0x80
	absent = 0xffff
)

// The private calls of arm are stored from 0xf000.
const (
	privateStored = 0xf000
	privateBase   = 0xf0000
)

// lookup returns the index of a name in the tables, or -1. Profiles are sorted more often
// than not, so the name after the last one found is tried first.
func lookup(name string, last int) int {
	if last+1 < nameCount && nameAt(last+1) == name {
		return last + 1
	}
	lo, hi := 0, nameCount
	for lo < hi {
		mid := (lo + hi) / 2
		if nameAt(mid) < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < nameCount && nameAt(lo) == name {
		return lo
	}
	return -1
}

func nameAt(i int) string {
	start := 0
	if i > 0 {
		start = int(nameEnds[i-1])
	}
	return names[start:nameEnds[i]]
}
