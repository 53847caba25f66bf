package entry

import "debug/elf"

const (
	machine      = elf.EM_AARCH64
	machineFlags = 0
)
