package rootfs

import (
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// MakeReadOnly makes a mount read-only that something had to be made in first.
type MakeReadOnly struct{ UnsafePath string }

// MakeRootReadOnly makes the root read-only, without what is mounted in it.
type MakeRootReadOnly struct{}

// ReadOnly compiles root.readonly, and the read-only mounts whose time had not come.
func ReadOnly(in *step.Input, emit step.Emit) error {
	if in.Namespace(specs.MountNamespace) == nil {
		return nil
	}
	for i, m := range in.Bundle.Spec.Mounts {
		if lateReadOnly(in, i) {
			emit("/mounts/"+strconv.Itoa(i)+"/options", MakeReadOnly{safepath.Clean(m.Destination)})
		}
	}
	if r := in.Bundle.Spec.Root; r != nil && r.Readonly {
		emit("/root/readonly", MakeRootReadOnly{})
	}
	return nil
}

func (s MakeReadOnly) String() string     { return "make /" + s.UnsafePath + " read-only" }
func (s MakeRootReadOnly) String() string { return "make the root read-only" }

func readOnly(recursive bool) linux.MountAttr {
	return linux.MountAttr{Set: unix.MOUNT_ATTR_RDONLY, Recursive: recursive}
}

// Do makes the mount read-only.
func (s MakeReadOnly) Do(b *step.Sandbox) error {
	f, err := safepath.Open(b.Root, s.UnsafePath, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, root, err := linux.MountOf(f); err != nil {
		return err
	} else if !root {
		return fmt.Errorf("cannot make /%s read-only: it is no mount any more", s.UnsafePath)
	}
	return change(b, f, readOnly(false))
}

// Do makes the root read-only. Other flags of the mount stay.
func (s MakeRootReadOnly) Do(b *step.Sandbox) error { return change(b, b.Root, readOnly(false)) }
