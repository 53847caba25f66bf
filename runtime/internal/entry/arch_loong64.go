package entry

import "github.com/ocirt/ocirt/runtime/internal/elf"

const (
	machine      = elf.EM_LOONGARCH
	machineFlags = 0x43 // object file ABI version 1, double-precision float
)
