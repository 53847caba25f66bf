package process

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// maxCPUs is the highest number of processors that a mask has room for.
const maxCPUs = 8192

// SetAffinity says on which processors the process may run. The kernel takes out of them
// what its cpuset does not allow.
type SetAffinity struct {
	CPUs string // as in config.json; empty for all
	Mask [maxCPUs / 64]uint64
}

// Affinity compiles process.execCPUAffinity.final for a process that enters a running
// container. Everything else may run on all processors of its cpuset: it does not inherit
// the restrictions of ocirt's caller. It must stand after init has entered its cgroup.
func Affinity(in *step.Input, emit step.Emit) error {
	if in.Process == nil {
		return nil
	}
	if a := in.Process.ExecCPUAffinity; a != nil && in.Join != nil && a.Final != "" {
		return emitAffinity("/process/execCPUAffinity/final", a.Final, emit)
	}
	s := SetAffinity{}
	for i := range s.Mask {
		s.Mask[i] = math.MaxUint64
	}
	emit("ocirt", s)
	return nil
}

// InitialAffinity compiles process.execCPUAffinity.initial, which holds until the process
// is in its cgroup: it must stand before.
func InitialAffinity(in *step.Input, emit step.Emit) error {
	if in.Process == nil || in.Join == nil {
		return nil
	}
	if a := in.Process.ExecCPUAffinity; a != nil && a.Initial != "" {
		return emitAffinity("/process/execCPUAffinity/initial", a.Initial, emit)
	}
	return nil
}

func emitAffinity(from, list string, emit step.Emit) error {
	s := SetAffinity{CPUs: list}
	if err := setNumbers(s.Mask[:], list); err != nil {
		return fmt.Errorf("cannot set CPU affinity: bad CPU list %q: %w", list, err)
	}
	emit(from, s)
	return nil
}

func (s SetAffinity) String() string {
	if s.CPUs == "" {
		return "run on all processors"
	}
	return "run on processors " + word(s.CPUs)
}

// Lower writes the call.
func (s SetAffinity) Lower(i *step.Init) error {
	c := i.Call(unix.SYS_SCHED_SETAFFINITY, 0, len(s.Mask)*8, i.Words(s.Mask[:]...)).Label("set CPU affinity")
	if s.CPUs == "" {
		c.May(unix.EINVAL, unix.EPERM, unix.ENOSYS)
	}
	return nil
}

// SetMemoryPolicy says from which nodes the process gets memory (set_mempolicy(2)).
type SetMemoryPolicy struct {
	Mode  int
	Flags int
	Nodes string
	Mask  [maxNodes / 64]uint64

	MayKeep bool // only the default, which kernels without nodes do not know
}

const maxNodes = 1024

// Modes by the kernel's numbers (include/uapi/linux/mempolicy.h).
var memoryModes = [...]string{
	"MPOL_DEFAULT", "MPOL_PREFERRED", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_LOCAL",
	"MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE",
}

// MemoryPolicy compiles linux.memoryPolicy; the caller's is not inherited.
func MemoryPolicy(in *step.Input, emit step.Emit) error {
	if in.Process == nil {
		return nil
	}
	l := in.Bundle.Spec.Linux
	if l == nil || l.MemoryPolicy == nil {
		emit("ocirt", SetMemoryPolicy{MayKeep: true})
		return nil
	}
	c := l.MemoryPolicy
	s := SetMemoryPolicy{Mode: -1, Nodes: c.Nodes}
	for n, name := range memoryModes {
		if string(c.Mode) == name {
			s.Mode = n
		}
	}
	if s.Mode < 0 {
		return fmt.Errorf("invalid memory policy mode %q", c.Mode)
	}
	for _, f := range c.Flags {
		switch string(f) {
		case "MPOL_F_STATIC_NODES":
			s.Flags |= unix.MPOL_F_STATIC_NODES
		case "MPOL_F_RELATIVE_NODES":
			s.Flags |= unix.MPOL_F_RELATIVE_NODES
		case "MPOL_F_NUMA_BALANCING":
			s.Flags |= unix.MPOL_F_NUMA_BALANCING
		default:
			return fmt.Errorf("invalid memory policy flag %q", f)
		}
	}
	if err := setNumbers(s.Mask[:], c.Nodes); c.Nodes != "" && err != nil {
		return fmt.Errorf("invalid memory policy node list %q: %w", c.Nodes, err)
	}
	emit("/linux/memoryPolicy", s)
	return nil
}

func (s SetMemoryPolicy) String() string {
	text := "set memory policy to " + memoryModes[s.Mode]
	if s.Nodes != "" {
		text += " on nodes " + word(s.Nodes)
	}
	return text
}

// Lower writes the call.
func (s SetMemoryPolicy) Lower(i *step.Init) error {
	var mask entry.Addr
	size := 0
	if s.Nodes != "" {
		mask = i.Words(s.Mask[:]...)
		size = maxNodes + 1 // the kernel takes one bit less than it is told to
	}
	c := i.Call(unix.SYS_SET_MEMPOLICY, s.Mode|s.Flags, mask, size).Label("set memory policy")
	if s.MayKeep {
		c.May(unix.ENOSYS, unix.EPERM)
	}
	return nil
}

// Explain adds to the errno of the call of Lower.
func (s SetMemoryPolicy) Explain(errno syscall.Errno) string {
	switch errno {
	case unix.EINVAL:
		return "a memory node is missing or forbidden by the cpuset, or mode and flags do not go together"
	case unix.ENOSYS:
		return "this kernel knows no memory nodes"
	}
	return ""
}

// setNumbers sets the bits of a list such as "0-3,7" (cpuset(7), "List format").
func setNumbers(mask []uint64, list string) error {
	for part := range strings.SplitSeq(list, ",") {
		from, to, ranged := strings.Cut(strings.TrimSpace(part), "-")
		first, err := number(from, mask)
		if err != nil {
			return err
		}
		last := first
		if ranged {
			if last, err = number(to, mask); err != nil {
				return err
			}
		}
		if last < first {
			return fmt.Errorf("%d is above %d", first, last)
		}
		for n := first; n <= last; n++ {
			mask[n/64] |= bits.RotateLeft64(1, n%64)
		}
	}
	return nil
}

func number(s string, mask []uint64) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s is no number", word(s))
	}
	if n >= uint64(64*len(mask)) {
		return 0, fmt.Errorf("%d is too large", n)
	}
	return int(n), nil
}
