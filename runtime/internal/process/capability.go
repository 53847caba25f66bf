package process

import (
	"math/bits"
	"slices"

	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// Caps is a set of capabilities, one bit each.
type Caps uint64

func (c Caps) has(n int) bool { return c>>n&1 != 0 }

func (c Caps) count() int { return bits.OnesCount64(uint64(c)) }

// capsOf returns the set of the known names; the others are left out, as the
// specification wants (config.md, "Linux Process").
func capsOf(names []string) Caps {
	var c Caps
	for _, name := range names {
		if n := spec.CapabilityNumber(name); n >= 0 {
			c |= 1 << n
		}
	}
	return c
}

// known is the set of all capabilities of the kernel.
func known(in *step.Input) Caps { return 1<<(lastCap(in)+1) - 1 }

func lastCap(in *step.Input) int {
	if in.Facts.LastCap > 0 {
		return min(in.Facts.LastCap, 62)
	}
	return len(spec.CapabilityNames()) - 1
}

// available is what init can give: in a user namespace of its own it has every
// capability, otherwise those that ocirt has.
func available(in *step.Input) Caps {
	if in.UserNS() || in.Facts.Caps == 0 {
		return known(in)
	}
	return known(in) & Caps(in.Facts.Caps)
}

// sets are the five sets of the process as they will be set. Without the property all
// are empty, as in runc.
type sets struct {
	bounding, effective, permitted, inheritable, ambient Caps
}

func setsOf(in *step.Input) sets {
	c := in.Process.Capabilities
	if c == nil {
		return sets{}
	}
	can := available(in)
	s := sets{
		bounding:    capsOf(c.Bounding) & can,
		effective:   capsOf(c.Effective) & can,
		permitted:   capsOf(c.Permitted) & can,
		inheritable: capsOf(c.Inheritable) & can,
	}
	// The kernel refuses to raise others (capabilities(7)).
	s.ambient = capsOf(c.Ambient) & s.permitted & s.inheritable
	return s
}

// Unavailable returns the capabilities that the process object names and the process will
// not get, sorted: names that are unknown, or that ocirt does not have itself. The
// specification wants a warning for them, not an error.
func Unavailable(in *step.Input) []string {
	if in.Process == nil || in.Process.Capabilities == nil {
		return nil
	}
	c := in.Process.Capabilities
	can := available(in)
	var missing []string
	for _, names := range [][]string{c.Bounding, c.Effective, c.Permitted, c.Inheritable, c.Ambient} {
		for _, name := range names {
			if n := spec.CapabilityNumber(name); n < 0 || !can.has(n) {
				missing = append(missing, name)
			}
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// Unraised returns the ambient capabilities that cannot be raised because they are not
// both permitted and inheritable, in the order of their numbers: to be warned about.
func Unraised(in *step.Input) []string {
	if in.Process == nil || in.Process.Capabilities == nil {
		return nil
	}
	left := capsOf(in.Process.Capabilities.Ambient) & available(in) &^ setsOf(in).ambient
	var names []string
	for n, name := range spec.CapabilityNames() {
		if left.has(n) {
			names = append(names, name)
		}
	}
	return names
}

func capabilityName(n int) string {
	if names := spec.CapabilityNames(); n < len(names) {
		return names[n]
	}
	return "capability " + itoa(n)
}
