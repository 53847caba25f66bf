package elf

import (
	"debug/elf"
	"testing"
)

func TestNumbers(t *testing.T) {
	for name, pair := range map[string][2]uint64{
		"EM_386": {uint64(EM_386), uint64(elf.EM_386)}, "EM_MIPS": {uint64(EM_MIPS), uint64(elf.EM_MIPS)},
		"EM_PPC64": {uint64(EM_PPC64), uint64(elf.EM_PPC64)}, "EM_S390": {uint64(EM_S390), uint64(elf.EM_S390)},
		"EM_ARM": {uint64(EM_ARM), uint64(elf.EM_ARM)}, "EM_X86_64": {uint64(EM_X86_64), uint64(elf.EM_X86_64)},
		"EM_AARCH64": {uint64(EM_AARCH64), uint64(elf.EM_AARCH64)}, "EM_RISCV": {uint64(EM_RISCV), uint64(elf.EM_RISCV)},
		"EM_BPF": {uint64(EM_BPF), uint64(elf.EM_BPF)}, "EM_LOONGARCH": {uint64(EM_LOONGARCH), uint64(elf.EM_LOONGARCH)},
		"PT_LOAD": {uint64(PT_LOAD), uint64(elf.PT_LOAD)}, "PT_INTERP": {uint64(PT_INTERP), uint64(elf.PT_INTERP)},
		"PT_GNU_STACK": {uint64(PT_GNU_STACK), uint64(elf.PT_GNU_STACK)}, "PF_X": {uint64(PF_X), uint64(elf.PF_X)},
		"PF_W": {uint64(PF_W), uint64(elf.PF_W)}, "PF_R": {uint64(PF_R), uint64(elf.PF_R)},
		"ET_EXEC": {uint64(ET_EXEC), uint64(elf.ET_EXEC)}, "ET_DYN": {uint64(ET_DYN), uint64(elf.ET_DYN)},
		"ELFCLASS64": {uint64(ELFCLASS64), uint64(elf.ELFCLASS64)}, "ELFDATA2MSB": {uint64(ELFDATA2MSB), uint64(elf.ELFDATA2MSB)},
		"EI_CLASS": {EI_CLASS, elf.EI_CLASS}, "EI_DATA": {EI_DATA, elf.EI_DATA}, "EI_VERSION": {EI_VERSION, elf.EI_VERSION},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %d, want %d", name, pair[0], pair[1])
		}
	}
}
