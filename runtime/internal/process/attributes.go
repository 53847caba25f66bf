package process

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// NoMorePrivileges forbids the process and its children to gain any by execve.
type NoMorePrivileges struct{}

// NoNewPrivileges compiles process.noNewPrivileges.
func NoNewPrivileges(in *step.Input, emit step.Emit) error {
	if in.Process != nil && in.Process.NoNewPrivileges {
		emit("/process/noNewPrivileges", NoMorePrivileges{})
	}
	return nil
}

func (NoMorePrivileges) String() string { return "allow no new privileges" }

// Lower writes the call.
func (NoMorePrivileges) Lower(i *step.Init) error {
	i.Call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).Label("allow no new privileges")
	return nil
}

// SetUmask sets the mask of permissions for new files.
type SetUmask struct{ Mask uint32 }

// Umask compiles process.user.umask; without it the mask is 0022, whatever the caller's.
func Umask(in *step.Input, emit step.Emit) error {
	if in.Process == nil {
		return nil
	}
	from, mask := "ocirt", uint32(0o022)
	if u := in.Process.User.Umask; u != nil {
		from, mask = "/process/user/umask", *u&0o777
	}
	emit(from, SetUmask{mask})
	return nil
}

func (s SetUmask) String() string { return fmt.Sprintf("set umask to %04o", s.Mask) }

// Lower writes the call.
func (s SetUmask) Lower(i *step.Init) error {
	i.Call(unix.SYS_UMASK, s.Mask).Label("set umask")
	return nil
}

// SetPersonality makes the process see the kernel as another execution domain, such as
// 32-bit Linux on a 64-bit machine (personality(2)).
type SetPersonality struct{ Domain uint32 }

// Execution domains that config.json can name (include/uapi/linux/personality.h).
const (
	perLinux   = 0
	perLinux32 = 8
)

// Personality compiles linux.personality. Without it the domain is plain Linux: that of
// the caller is not inherited. The flags are ignored, as the specification defines none.
func Personality(in *step.Input, emit step.Emit) error {
	if in.Process == nil {
		return nil
	}
	l := in.Bundle.Spec.Linux
	if l == nil || l.Personality == nil {
		emit("ocirt", SetPersonality{perLinux})
		return nil
	}
	switch l.Personality.Domain {
	case specs.PerLinux:
		emit("/linux/personality", SetPersonality{perLinux})
	case specs.PerLinux32:
		emit("/linux/personality", SetPersonality{perLinux32})
	default:
		return fmt.Errorf("invalid personality domain %s", l.Personality.Domain)
	}
	return nil
}

func (s SetPersonality) String() string {
	if s.Domain == perLinux32 {
		return "set personality to LINUX32"
	}
	return "set personality to LINUX"
}

// Lower writes the call.
func (s SetPersonality) Lower(i *step.Init) error {
	i.Call(unix.SYS_PERSONALITY, s.Domain).Label("set personality")
	return nil
}
