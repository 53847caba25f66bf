package entry

import "github.com/ocirt/ocirt/runtime/internal/elf"

const (
	machine      = elf.EM_RISCV
	machineFlags = 0x5 // RVC, double-precision float ABI: what every Linux distribution builds
)
