package lsm

import (
	"errors"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

var (
	errNoAppArmor = errors.New("AppArmor is not enabled")
	errNoSELinux  = errors.New("SELinux is not enabled")
)

// Check says which labels a process asks for that this host has no module for: for those
// of a process it must not start, because it would be less confined than it asked to be;
// a label of mounts means nothing without SELinux. It may correct the facts: where the
// file system that shows AppArmor is not mounted, as in a container, the module can be
// there all the same.
func Check(f *step.Facts, p *specs.Process, l *specs.Linux) spec.Problems {
	var out spec.Problems
	if p != nil && p.ApparmorProfile != "" {
		f.AppArmor = f.AppArmor || appArmorParameter()
		if !f.AppArmor && p.ApparmorProfile != unconfined {
			out = append(out, spec.Problem{
				Pointer: "/process/apparmorProfile", Path: "process.apparmorProfile", Text: errNoAppArmor.Error(),
				Contract: "apparmor: config provided but apparmor not supported",
			})
		}
	}
	if p != nil && p.SelinuxLabel != "" && !f.SELinux {
		out = append(out, spec.Problem{
			Pointer: "/process/selinuxLabel", Path: "process.selinuxLabel", Text: errNoSELinux.Error(),
			Contract: "selinux label is specified in config, but selinux is disabled or not supported",
		})
	}
	if l != nil && l.MountLabel != "" && !f.SELinux {
		out = append(out, spec.Problem{
			Pointer: "/linux/mountLabel", Path: "linux.mountLabel", Text: errNoSELinux.Error() + ", ignored", Warning: true,
		})
	}
	return out
}

// appArmorParameter asks the module itself.
func appArmorParameter() bool {
	b, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && len(b) > 0 && b[0] == 'Y'
}
