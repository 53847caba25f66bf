package process

import "slices"

// MemoryModes are the modes of linux.memoryPolicy that are known here, sorted.
func MemoryModes() []string { return slices.Sorted(slices.Values(memoryModes[:])) }

// MemoryFlags are the flags of linux.memoryPolicy that are known here, sorted.
func MemoryFlags() []string {
	return []string{"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"}
}
