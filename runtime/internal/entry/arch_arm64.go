package entry

import "github.com/ocirt/ocirt/runtime/internal/elf"

const (
	machine      = elf.EM_AARCH64
	machineFlags = 0
)
