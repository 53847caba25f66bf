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

// What the kernels of mips add to the numbers of each way of calling it.
const (
	baseO32 = 4000
	baseN64 = 5000
	baseN32 = 6000
)

// native is the architecture that ocirt was compiled for; empty if it does not run there.
func native(goarch string) specs.Arch {
	switch goarch {
	case "amd64":
		return specs.ArchX86_64
	case "arm64":
		return specs.ArchAARCH64
	case "riscv64":
		return specs.ArchRISCV64
	case "ppc64le":
		return specs.ArchPPC64LE
	case "s390x":
		return specs.ArchS390X
	case "loong64":
		return specs.ArchLOONGARCH64
	}
	return ""
}

// machineOf returns the machine whose native architecture this is. Of x32 and n32, which
// are native nowhere, it is the machine that can run them.
func machineOf(a specs.Arch) (machine, bool) {
	switch a {
	case specs.ArchX86_64, specs.ArchX32:
		return machine{abis: []abi{
			{name: specs.ArchX86_64, audit: unix.AUDIT_ARCH_X86_64, column: columnX86_64, wide: true},
			{name: specs.ArchX32, audit: unix.AUDIT_ARCH_X86_64, column: columnX32, base: x32Bit},
			{name: specs.ArchX86, audit: unix.AUDIT_ARCH_I386, column: columnX86},
		}}, true
	case specs.ArchAARCH64:
		return machine{abis: []abi{
			{name: a, audit: unix.AUDIT_ARCH_AARCH64, column: columnAARCH64, wide: true},
			{name: specs.ArchARM, audit: unix.AUDIT_ARCH_ARM, column: columnARM},
		}}, true
	case specs.ArchPPC64:
		return machine{big: true, abis: []abi{
			{name: a, audit: unix.AUDIT_ARCH_PPC64, column: columnPPC64, wide: true},
			{name: specs.ArchPPC, audit: unix.AUDIT_ARCH_PPC, column: columnPPC},
		}}, true
	case specs.ArchS390X:
		return machine{big: true, abis: []abi{
			{name: a, audit: unix.AUDIT_ARCH_S390X, column: columnS390X, wide: true, zero: true},
			{name: specs.ArchS390, audit: unix.AUDIT_ARCH_S390, column: columnS390, zero: true},
		}}, true
	case specs.ArchMIPS64, specs.ArchMIPS64N32:
		return machine{big: true, abis: []abi{
			{name: specs.ArchMIPS64, audit: unix.AUDIT_ARCH_MIPS64, column: columnMIPS64, wide: true, base: baseN64},
			{name: specs.ArchMIPS64N32, audit: unix.AUDIT_ARCH_MIPS64N32, column: columnMIPS64N32, base: baseN32},
			{name: specs.ArchMIPS, audit: unix.AUDIT_ARCH_MIPS, column: columnMIPS, base: baseO32},
		}}, true
	case specs.ArchMIPSEL64, specs.ArchMIPSEL64N32:
		return machine{abis: []abi{
			{name: specs.ArchMIPSEL64, audit: unix.AUDIT_ARCH_MIPSEL64, column: columnMIPS64, wide: true, base: baseN64},
			{name: specs.ArchMIPSEL64N32, audit: unix.AUDIT_ARCH_MIPSEL64N32, column: columnMIPS64N32, base: baseN32},
			{name: specs.ArchMIPSEL, audit: unix.AUDIT_ARCH_MIPSEL, column: columnMIPS, base: baseO32},
		}}, true
	case specs.ArchPARISC64:
		return machine{big: true, abis: []abi{
			{name: a, audit: unix.AUDIT_ARCH_PARISC64, column: columnPARISC64, wide: true},
			{name: specs.ArchPARISC, audit: unix.AUDIT_ARCH_PARISC, column: columnPARISC},
		}}, true
	}
	return single(a)
}

// single returns a machine that runs one architecture only.
func single(a specs.Arch) (machine, bool) {
	one := func(big bool, b abi) (machine, bool) {
		b.name = a
		return machine{big: big, abis: []abi{b}}, true
	}
	switch a {
	case specs.ArchX86:
		return one(false, abi{audit: unix.AUDIT_ARCH_I386, column: columnX86})
	case specs.ArchARM:
		return one(false, abi{audit: unix.AUDIT_ARCH_ARM, column: columnARM})
	case specs.ArchRISCV64:
		return one(false, abi{audit: unix.AUDIT_ARCH_RISCV64, column: columnRISCV64, wide: true})
	case specs.ArchPPC64LE:
		return one(false, abi{audit: unix.AUDIT_ARCH_PPC64LE, column: columnPPC64, wide: true})
	case specs.ArchPPC:
		return one(true, abi{audit: unix.AUDIT_ARCH_PPC, column: columnPPC})
	case specs.ArchS390:
		return one(true, abi{audit: unix.AUDIT_ARCH_S390, column: columnS390, zero: true})
	case specs.ArchLOONGARCH64:
		return one(false, abi{audit: unix.AUDIT_ARCH_LOONGARCH64, column: columnLOONGARCH64, wide: true})
	case specs.ArchMIPS:
		return one(true, abi{audit: unix.AUDIT_ARCH_MIPS, column: columnMIPS, base: baseO32})
	case specs.ArchMIPSEL:
		return one(false, abi{audit: unix.AUDIT_ARCH_MIPSEL, column: columnMIPS, base: baseO32})
	case specs.ArchPARISC:
		return one(true, abi{audit: unix.AUDIT_ARCH_PARISC, column: columnPARISC})
	case specs.ArchM68K:
		return one(true, abi{audit: unix.AUDIT_ARCH_M68K, column: columnM68K})
	case specs.ArchSH:
		return one(false, abi{audit: unix.AUDIT_ARCH_SHEL, column: columnSH})
	case specs.ArchSHEB:
		return one(true, abi{audit: unix.AUDIT_ARCH_SH, column: columnSH})
	}
	return machine{}, false
}

// abi returns the way of calling with this name, or nil if the machine does not run it.
func (m *machine) abi(name specs.Arch) *abi {
	for i := range m.abis {
		if m.abis[i].name == name {
			return &m.abis[i]
		}
	}
	return nil
}

// noSuchCall is ENOSYS, which has other numbers where Linux had to be like the system that
// was there before.
func (m *machine) noSuchCall() uint32 {
	switch m.abis[0].column {
	case columnMIPS, columnMIPS64:
		return 89
	case columnPARISC, columnPARISC64:
		return 251
	}
	return uint32(unix.ENOSYS)
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
