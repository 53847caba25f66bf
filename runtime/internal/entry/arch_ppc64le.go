package entry

import "github.com/ocirt/ocirt/runtime/internal/elf"

const (
	machine      = elf.EM_PPC64
	machineFlags = 2 // ELF ABI version 2: the entry point is code, not a function descriptor
)
