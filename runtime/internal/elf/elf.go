// Package elf holds the few numbers of the ELF format (System V ABI, chapters 4 and 5) that
// an image is written with and a program is explained by. The standard library's package of
// that name brings decompression and debugging information along, whose initialisers every
// start of ocirt would pay for.
package elf

// Kinds of number, as in the standard library.
type (
	Machine  uint16
	Type     uint16
	Class    byte
	Data     byte
	ProgType uint32
	ProgFlag uint32
)

// The file header.
const (
	ELFMAG     = "\x7fELF"
	EI_CLASS   = 4
	EI_DATA    = 5
	EI_VERSION = 6
	EV_CURRENT = 1

	ELFCLASS32  Class = 1
	ELFCLASS64  Class = 2
	ELFDATA2LSB Data  = 1
	ELFDATA2MSB Data  = 2

	ET_EXEC Type = 2
	ET_DYN  Type = 3
)

// Machines.
const (
	EM_NONE      Machine = 0
	EM_386       Machine = 3
	EM_MIPS      Machine = 8
	EM_PPC64     Machine = 21
	EM_S390      Machine = 22
	EM_ARM       Machine = 40
	EM_X86_64    Machine = 62
	EM_AARCH64   Machine = 183
	EM_RISCV     Machine = 243
	EM_BPF       Machine = 247
	EM_LOONGARCH Machine = 258
)

// Program headers.
const (
	PT_LOAD      ProgType = 1
	PT_INTERP    ProgType = 3
	PT_GNU_STACK ProgType = 0x6474e551

	PF_X ProgFlag = 1
	PF_W ProgFlag = 2
	PF_R ProgFlag = 4
)
