package entry

import "github.com/ocirt/ocirt/runtime/internal/elf"

const (
	machine      = elf.EM_S390
	machineFlags = 0
)
