package process

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// ErrNoSysctl is returned for a parameter that the kernel does not have, or not in the
// container's namespaces.
var ErrNoSysctl = errors.New("no such sysctl")

// SetSysctl writes a kernel parameter of the container's namespaces: the kernel takes
// those of the thread that opens the file.
type SetSysctl struct{ Name, Value string }

// Sysctls compiles linux.sysctl, in the order of their names.
func Sysctls(in *step.Input, emit step.Emit) error {
	l := in.Bundle.Spec.Linux
	if l == nil || in.Join != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(l.Sysctl)) {
		if spec.SysctlPath(name) == "" {
			return fmt.Errorf("cannot set sysctl %q: invalid name", name)
		}
		emit("/linux/sysctl/"+pointerToken(name), SetSysctl{name, l.Sysctl[name]})
	}
	return nil
}

func (s SetSysctl) String() string { return "set sysctl " + word(s.Name) + " to " + word(s.Value) }

// Do writes the value through a procfs of ours, which no mount of the container covers.
func (s SetSysctl) Do(b *step.Sandbox) error {
	if b.Proc == nil {
		proc, err := safepath.Proc()
		if err != nil {
			return err
		}
		b.Proc = proc
	}
	err := safepath.Write(b.Proc, "sys/"+spec.SysctlPath(s.Name), s.Value)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT):
		// Not the errno's words: engines would take them for a missing program.
		return fmt.Errorf("cannot set sysctl %q: %w", s.Name, ErrNoSysctl)
	default:
		return fmt.Errorf("cannot set sysctl %q to value %q: %w", s.Name, s.Value, bare(err))
	}
}

// pointerToken escapes a key for a JSON pointer (RFC 6901).
func pointerToken(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
