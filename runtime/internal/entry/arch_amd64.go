package entry

import "debug/elf"

const (
	machine      = elf.EM_X86_64
	machineFlags = 0
)
