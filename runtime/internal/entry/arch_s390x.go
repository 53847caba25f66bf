package entry

import "debug/elf"

const (
	machine      = elf.EM_S390
	machineFlags = 0
)
