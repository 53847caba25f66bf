package rootfs

import (
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// Mask hides files behind /dev/null and directories behind an empty one.
type Mask struct {
	UnsafePaths []string
	Data        []string // options of the empty one: its SELinux label
}

// ProtectPaths makes paths read-only with all that is mounted below them.
type ProtectPaths struct{ UnsafePaths []string }

// MaskedPaths compiles linux.maskedPaths.
func MaskedPaths(in *step.Input, emit step.Emit) error {
	l := in.Bundle.Spec.Linux
	if l == nil || len(l.MaskedPaths) == 0 || in.Namespace(specs.MountNamespace) == nil {
		return nil
	}
	emit("/linux/maskedPaths", Mask{l.MaskedPaths, labelOption(in, "tmpfs")})
	return nil
}

// ReadonlyPaths compiles linux.readonlyPaths.
func ReadonlyPaths(in *step.Input, emit step.Emit) error {
	l := in.Bundle.Spec.Linux
	if l == nil || len(l.ReadonlyPaths) == 0 || in.Namespace(specs.MountNamespace) == nil {
		return nil
	}
	emit("/linux/readonlyPaths", ProtectPaths{l.ReadonlyPaths})
	return nil
}

func (s Mask) String() string         { return "mask " + count(s.UnsafePaths) }
func (s ProtectPaths) String() string { return "make " + count(s.UnsafePaths) + " read-only" }

func count(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return fmt.Sprintf("%d paths", len(list))
}

// Do hides the paths. One that does not exist is hidden enough; anything else that goes
// wrong is an error, because a path left open is worse than a container that does not
// start.
func (s Mask) Do(b *step.Sandbox) error {
	m := masks{data: s.Data}
	defer m.close()
	for _, p := range s.UnsafePaths {
		if err := m.mask(b.Root, p); err != nil {
			return fmt.Errorf("cannot mask %s: %w", p, err)
		}
	}
	return nil
}

// masks are the two mounts that everything is hidden behind, made when needed. After the
// first use they are attached, and are copied for the next.
type masks struct {
	file, dir *os.File
	data      []string
}

func (m *masks) close() {
	for _, f := range []*os.File{m.file, m.dir} {
		if f != nil {
			f.Close()
		}
	}
}

func (m *masks) mask(root *os.File, unsafePath string) error {
	target, err := safepath.Open(root, unsafePath, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer target.Close()
	dir, err := isDir(target)()
	if err != nil {
		return err
	}
	kept, create := &m.file, func() (*os.File, error) { return null(root) }
	if dir {
		kept, create = &m.dir, func() (*os.File, error) { return emptyDir(m.data) }
	}
	if *kept == nil {
		if *kept, err = create(); err != nil {
			return err
		}
		return linux.MoveMount(*kept, target)
	}
	again, err := linux.OpenTree(*kept, "", unix.OPEN_TREE_CLONE)
	if err != nil {
		return err
	}
	defer again.Close()
	return linux.MoveMount(again, target)
}

// null is a detached mount of the container's /dev/null, if it really is that device
// (CVE-2025-31133).
func null(root *os.File) (*os.File, error) {
	f, err := safepath.OpenNoLinks(root, "dev/null", unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	device := Device{Kind: unix.S_IFCHR, Major: 1, Minor: 3}
	if err := device.is(f); err != nil {
		return nil, err
	}
	tree, err := linux.OpenTree(f, "", unix.OPEN_TREE_CLONE)
	if err != nil {
		return nil, err
	}
	return tree, nil
}

// emptyDir is a detached directory in which nothing is and can be: one for all, because
// each file system costs the kernel memory.
func emptyDir(data []string) (*os.File, error) {
	fs, err := linux.NewFilesystem("tmpfs")
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	for _, set := range [][2]string{{"source", "tmpfs"}, {"nr_blocks", "1"}, {"nr_inodes", "2"}, {"mode", "755"}} {
		if err := fs.Set(set[0], set[1]); err != nil {
			return nil, err
		}
	}
	if err := configure(fs, Super{}, data); err != nil {
		return nil, err
	}
	if err := fs.Create(); err != nil {
		return nil, err
	}
	return fs.Mount(unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
}

// Do makes the paths read-only. One that does not exist is skipped.
func (s ProtectPaths) Do(b *step.Sandbox) error {
	for _, p := range s.UnsafePaths {
		if err := protect(b, p); err != nil {
			return fmt.Errorf("cannot make %s read-only: %w", p, err)
		}
	}
	return nil
}

func protect(b *step.Sandbox, unsafePath string) error {
	target, err := safepath.Open(b.Root, unsafePath, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer target.Close()
	tree, err := linux.OpenTree(target, "", unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer tree.Close()
	// What is mounted below is read-only too, except where the kernel cannot do that.
	return finish(b, tree, target, []linux.MountAttr{readOnly(!oldKernel(b.Input))})
}
