package process

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// LimitCapabilities drops capabilities from the bounding set: no program that is executed
// from here on can have them.
type LimitCapabilities struct {
	Keep Caps // the bounding set to be
	Of   Caps // all capabilities of the kernel

	// Inherit is set first, if it has capabilities that Keep has not: once they are
	// gone from the bounding set they cannot become inheritable. Have is what init
	// holds until then.
	Inherit, Have Caps
}

// Capabilities compiles process.capabilities.bounding. It stands before User, because it
// needs CAP_SETPCAP; User sets the other sets.
func Capabilities(in *step.Input, emit step.Emit) error {
	if in.Process == nil {
		return nil
	}
	s := setsOf(in)
	l := LimitCapabilities{Keep: s.bounding, Of: known(in)}
	if s.inheritable&^s.bounding != 0 {
		l.Inherit, l.Have = s.inheritable, available(in)
	}
	emit("/process/capabilities", l)
	return nil
}

func (s LimitCapabilities) String() string {
	return fmt.Sprintf("limit capabilities to %d of %d", s.Keep.count(), s.Of.count())
}

// Lower writes one call for each capability to drop; the kernel has no call for many.
func (s LimitCapabilities) Lower(i *step.Init) error {
	if s.Inherit != 0 {
		capset(i, s.Have, s.Have, s.Inherit).Label("set inheritable capabilities")
	}
	for n := range 64 {
		if s.Of.has(n) && !s.Keep.has(n) {
			i.Call(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, n, 0, 0, 0).Label("drop a capability")
		}
	}
	return nil
}

// SetCapabilities gives the process its capability sets.
type SetCapabilities struct {
	Effective, Permitted, Inheritable, Ambient Caps

	Of Caps // all capabilities of the kernel
}

func (s SetCapabilities) String() string {
	text := fmt.Sprintf("set capabilities to %d of %d", s.Permitted.count(), s.Of.count())
	if s.Effective == s.Permitted && s.Inheritable == 0 {
		return text
	}
	return text + fmt.Sprintf(" (%d effective, %d inheritable, %d ambient)",
		s.Effective.count(), s.Inheritable.count(), s.Ambient.count())
}

// Lower writes the calls. The ambient set is cleared first, so that it is what config.json
// says whatever ocirt's caller had; an ambient capability that the kernel refuses to raise
// is not an error, as the other sets still hold.
func (s SetCapabilities) Lower(i *step.Init) error {
	capset(i, s.Effective, s.Permitted, s.Inheritable).Label("set capabilities")
	i.Call(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0).Label("clear ambient capabilities")
	for n := range 64 {
		if s.Ambient.has(n) {
			i.Call(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, n, 0, 0).
				May(unix.EPERM).Label("raise ambient " + capabilityName(n))
		}
	}
	return nil
}

// capset writes a call that sets three of the five sets of init (capset(2), version 3).
func capset(i *step.Init, effective, permitted, inheritable Caps) *entry.Call {
	ne := binary.NativeEndian
	head := make([]byte, 8) // version, pid 0: the caller
	ne.PutUint32(head, unix.LINUX_CAPABILITY_VERSION_3)
	data := make([]byte, 24)
	for half := range 2 {
		shift := 32 * half
		ne.PutUint32(data[12*half:], uint32(effective>>shift))
		ne.PutUint32(data[12*half+4:], uint32(permitted>>shift))
		ne.PutUint32(data[12*half+8:], uint32(inheritable>>shift))
	}
	return i.Call(unix.SYS_CAPSET, i.Bytes(head), i.Bytes(data))
}
