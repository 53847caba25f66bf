package entry

import (
	"slices"
	"syscall"
)

// A Description is what can be said about a call without making it.
type Description struct {
	Index  int
	Trap   uintptr // system call number of this architecture
	Label  string  // "" if the call has none
	Step   int     // see SetStep; -1 for the walker's own end
	Args   [6]uintptr
	Slots  uint8 // bits of the arguments that are known only when it runs
	MayAny bool  // no errno is a failure
	May    []syscall.Errno
}

// MayFail says whether the program goes on after at least one errno.
func (d Description) MayFail() bool { return d.MayAny || len(d.May) > 0 }

// Calls describes the calls so far, in the order of the list.
func (p *Program) Calls() []Description {
	list := make([]Description, len(p.calls))
	for i, c := range p.calls {
		list[i] = Description{
			Index: c.index, Trap: c.trap, Label: c.label, Step: c.step,
			Args: c.args, Slots: uint8(c.flags & (1<<len(c.args) - 1)),
			MayAny: c.flags&flagAny != 0, May: slices.Clone(c.errnos),
		}
	}
	return list
}
