package lsm

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// unconfined is the profile that is none.
const unconfined = "unconfined"

// SetProfile confines the program that the process executes by an AppArmor profile.
type SetProfile struct {
	Name string
	// NoNewPrivileges: the process will allow itself no new privileges, and the kernel
	// then refuses a change from one profile to another.
	NoNewPrivileges bool
}

// AppArmor compiles process.apparmorProfile. Without AppArmor there is nothing to leave
// for who asks to be unconfined.
func AppArmor(in *step.Input, emit step.Emit) error {
	p := in.Process
	if p == nil || p.ApparmorProfile == "" || p.ApparmorProfile == unconfined && !in.Facts.AppArmor {
		return nil
	}
	emit("/process/apparmorProfile", SetProfile{p.ApparmorProfile, p.NoNewPrivileges})
	return nil
}

func (s SetProfile) String() string { return "set AppArmor profile to " + s.Name }

// Lower writes the calls.
func (s SetProfile) Lower(i *step.Init) error {
	if !i.Input.Facts.AppArmor && !appArmorParameter() {
		return errNoAppArmor
	}
	s.attribute(s.stacks()).lower(i.Program)
	return nil
}

// attribute is the request to the kernel (Documentation/admin-guide/LSM/apparmor.rst,
// aa_change_profile(2), aa_stack_profile(2)).
func (s SetProfile) attribute(stack bool) attribute {
	a := attribute{path: "attr/apparmor/exec", fallback: "attr/exec"}
	switch {
	case stack:
		// What is read back names all profiles of the stack, in the kernel's order.
		a.value = "stack " + s.Name
	case strings.ContainsAny(s.Name, ":&"):
		// The kernel prints a name with a namespace, or a stack, in its own way.
		a.value = "exec " + s.Name
	case s.Name == unconfined:
		a.value, a.back = "exec "+s.Name, unconfined+"\n"
	default:
		a.value, a.back = "exec "+s.Name, s.Name+" (" // and the profile's mode
	}
	return a
}

// stacks reports whether the profile must be added to the one that confines ocirt, and
// with it init. A process that may gain no privileges may still lose some.
func (s SetProfile) stacks() bool {
	n, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if !s.NoNewPrivileges && (err != nil || n == 0) {
		return false
	}
	return confined()
}

// confined reports whether an AppArmor profile is on this process.
func confined() bool {
	for _, name := range [...]string{"apparmor/current", "current"} {
		b, err := os.ReadFile("/proc/thread-self/attr/" + name)
		if err == nil {
			now := strings.TrimRight(string(b), "\n\x00")
			return now != unconfined && now != ""
		}
	}
	return false
}

// Reword says in other words what an errno of a call of Lower means, if there are better
// ones.
func (s SetProfile) Reword(label string, errno unix.Errno) string {
	if strings.HasPrefix(label, labelSet) {
		// Not the words of ENOENT: callers take them for a missing program.
		switch errno {
		case unix.ENOENT:
			return fmt.Sprintf("apparmor failed to apply profile: %q is not loaded: cannot %s", s.Name, label)
		case unix.EACCES, unix.EPERM:
			return fmt.Sprintf("apparmor failed to apply profile: cannot %s: %v: the profile that confines ocirt does not allow it", label, errno)
		}
	}
	return reword(label, errno)
}
