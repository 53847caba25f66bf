package entry

import "debug/elf"

const (
	machine      = elf.EM_LOONGARCH
	machineFlags = 0x43 // object file ABI version 1, double-precision float
)
