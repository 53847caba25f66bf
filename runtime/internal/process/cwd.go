package process

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// MakeDirectory makes the working directory if it is missing.
type MakeDirectory struct{ UnsafePath string }

// EarlyDirectory compiles process.cwd where nothing can be made any more when it is
// opened. It stands after the change of root and before rootfs.ReadOnly. It keeps no
// handle: one from before the masks and read-only paths would lead below them.
func EarlyDirectory(in *step.Input, emit step.Emit) error {
	if in.Process != nil && path.IsAbs(in.Process.Cwd) && willBeReadOnly(in, path.Clean(in.Process.Cwd)) {
		emit("/process/cwd", MakeDirectory{in.Process.Cwd})
	}
	return nil
}

// willBeReadOnly reports whether a path lies, by its name, on the root or on a mount that
// is made read-only late.
func willBeReadOnly(in *step.Input, clean string) bool {
	if clean == "/" {
		return false
	}
	if r := in.Bundle.Spec.Root; r != nil && r.Readonly {
		return true
	}
	for _, m := range in.Bundle.Spec.Mounts {
		at := path.Clean("/" + m.Destination)
		if slices.Contains(m.Options, "ro") && strings.HasPrefix(clean, strings.TrimSuffix(at, "/")+"/") {
			return true
		}
	}
	return false
}

func (s MakeDirectory) String() string {
	return "make directory " + word(s.UnsafePath) + " if it is missing"
}

// Do makes the directory. What cannot be made may be there after all, or be a place that
// only the user may enter: it is opening that tells.
func (s MakeDirectory) Do(b *step.Sandbox) error {
	f, err := safepath.MkdirAll(b.Root, path.Clean(s.UnsafePath), 0o755)
	if err == nil {
		f.Close()
	}
	return nil
}

// PrepareDirectory makes the working directory if it is missing, and opens it.
type PrepareDirectory struct {
	UnsafePath string
	User       identity
}

// WorkingDirectory compiles process.cwd: the builder's part.
func WorkingDirectory(in *step.Input, emit step.Emit) error {
	if in.Process == nil {
		return nil
	}
	if !path.IsAbs(in.Process.Cwd) {
		return errors.New("Cwd must be an absolute path") //nolint:staticcheck // callers match these words
	}
	emit("/process/cwd", PrepareDirectory{in.Process.Cwd, identityOf(in)})
	return nil
}

func (s PrepareDirectory) String() string { return "prepare directory " + word(s.UnsafePath) }

// Do opens the directory inside the root. The kernel resolves the path and never leaves
// the root, and magic links are not followed, so that the directory cannot be one of a
// descriptor or of another process (CVE-2024-21626).
func (s PrepareDirectory) Do(b *step.Sandbox) error {
	const flags = unix.O_PATH | unix.O_DIRECTORY
	f, err := safepath.Open(b.Root, s.UnsafePath, flags)
	switch {
	case errors.Is(err, unix.ENOENT):
		var made error
		if f, made = safepath.MkdirAll(b.Root, path.Clean(s.UnsafePath), 0o755); !errors.Is(made, unix.ENOTDIR) {
			err = made // else it is below a link of a procfs that leads nowhere: it is missing
		}
	case errors.Is(err, unix.EACCES):
		// A file system in user space, or one over the network, may show nothing to
		// root. Then the user may enter it.
		err = s.User.do(func() (err error) {
			f, err = safepath.Open(b.Root, s.UnsafePath, flags)
			return err
		})
	}
	if err != nil {
		return s.wrap(err)
	}
	b.Cwd = f
	return nil
}

func (s PrepareDirectory) wrap(err error) error {
	return fmt.Errorf("chdir to cwd (%q) set in config.json failed: %w", s.UnsafePath, bare(err))
}

// Enter makes the working directory the process's own, by the handle that the builder
// opened: no path is resolved again.
type Enter struct {
	UnsafePath string
	UID, GID   uint32
}

// EnterDirectory compiles process.cwd: init's part. It stands before User: a directory
// that only root may enter is a valid working directory of anybody, as in runc.
func EnterDirectory(in *step.Input, emit step.Emit) error {
	if in.Process != nil {
		emit("/process/cwd", Enter{in.Process.Cwd, in.Process.User.UID, in.Process.User.GID})
	}
	return nil
}

func (s Enter) String() string { return "enter directory " + word(s.UnsafePath) }

// Lower writes the calls. Where init itself may not go, the user may: on a file system in
// user space, or one over the network that trusts no root.
func (s Enter) Lower(i *step.Init) error {
	label := fmt.Sprintf("chdir to cwd (%q) set in config.json failed", s.UnsafePath)
	i.Call(unix.SYS_FCHDIR, i.Cwd).May(unix.EACCES, unix.EPERM).Label(label).Fork(func(p *entry.Program) {
		// Passed over unless the call was refused.
		p.Call(unix.SYS_SETFSGID, s.GID)
		p.Call(unix.SYS_SETFSUID, s.UID)
		p.Call(unix.SYS_FCHDIR, i.Cwd).Label(label)
		p.Call(unix.SYS_SETFSUID, 0)
		p.Call(unix.SYS_SETFSGID, 0)
	})
	return nil
}
