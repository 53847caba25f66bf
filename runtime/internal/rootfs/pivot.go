package rootfs

import (
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// PivotRoot makes the container's root the root of the mount namespace and takes the
// host's out of it.
type PivotRoot struct {
	Part bool // the old root may still reach the host: cut it off before taking it away
}

// ChangeRoot only changes the builder's own root: the container shares the host's mount
// namespace.
type ChangeRoot struct{}

// SetRootPropagation is the second half of linux.rootfsPropagation.
type SetRootPropagation struct{ Flags uint64 }

// Pivot compiles the change of root, and what linux.rootfsPropagation asks of the new one.
func Pivot(in *step.Input, emit step.Emit) error {
	if in.Namespace(specs.MountNamespace) == nil {
		emit("/root/path", ChangeRoot{})
		return nil
	}
	host, err := hostPropagation(in)
	if err != nil {
		return err
	}
	if in.Options.NoPivot {
		emit("/root/path", MoveRoot{})
	} else {
		emit("/root/path", PivotRoot{Part: host != unix.MS_SLAVE|unix.MS_REC && host != unix.MS_PRIVATE|unix.MS_REC})
	}
	// The new root is a copy of a private or receiving mount, so only these are missing.
	if l := in.Bundle.Spec.Linux; l != nil {
		p := propagation(l.RootfsPropagation)
		if k := p &^ unix.MS_REC; k == unix.MS_SHARED || k == unix.MS_UNBINDABLE {
			emit("/linux/rootfsPropagation", SetRootPropagation{p})
		}
	}
	return nil
}

func (PivotRoot) String() string  { return "change root" }
func (ChangeRoot) String() string { return "change root, staying in the host's mount namespace" }
func (s SetRootPropagation) String() string {
	if s.Flags&unix.MS_SHARED != 0 {
		return "make the root shared"
	}
	return "make the root unbindable"
}

// Do changes the root. Processes of the namespace whose root is the old one, such as init,
// move along (pivot_root(2)).
func (s PivotRoot) Do(b *step.Sandbox) error {
	var old *os.File
	if s.Part {
		var err error
		if old, err = linux.OpenAt(nil, "/", unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
			return err
		}
		defer old.Close()
	}
	if err := linux.Chdir(b.Root); err != nil {
		return err
	}
	// The new root ends up below the old one, so nothing has to be made to put it in.
	if err := unix.PivotRoot(".", "."); err != nil {
		return pivotError(os.NewSyscallError("pivot_root", err))
	}
	if s.Part {
		// Otherwise taking the old root away would take the host's mounts away.
		if err := linux.Chdir(old); err != nil {
			return err
		}
		if err := linux.Mount("", ".", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return err
		}
	}
	if err := linux.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return os.NewSyscallError("chdir", unix.Chdir("/"))
}

func pivotError(err error) error {
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w (if the host runs from an initramfs, --no-pivot is needed)", err)
	}
	return err
}

// Do changes the builder's root.
func (ChangeRoot) Do(b *step.Sandbox) error {
	return enter(b.Root)
}

func enter(root *os.File) error {
	if err := linux.Chdir(root); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return os.NewSyscallError("chroot", err)
	}
	return os.NewSyscallError("chdir", unix.Chdir("/"))
}

// Do sets the propagation.
func (s SetRootPropagation) Do(*step.Sandbox) error {
	return linux.Mount("", "/", "", uintptr(s.Flags), "")
}
