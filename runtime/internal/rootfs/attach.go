package rootfs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// A Place is where in the container a mount goes.
type Place struct {
	UnsafePath string // from the root; resolved when the step is done
	Plain      bool   // a directory no part of which is a symbolic link (CVE-2019-19921)
	NoFollow   bool   // do not follow a link in the last component
	OnProc     bool   // may lie on a procfs
}

// open opens the place; if it is missing, it is made as wantDir says.
func (p Place) open(root *os.File, wantDir func() (bool, error)) (*os.File, error) {
	f, err := p.find(root, wantDir)
	if errors.Is(err, unix.EROFS) {
		return nil, fmt.Errorf("%q does not exist in a read-only mount: %w", "/"+p.UnsafePath, err)
	}
	if err != nil {
		return nil, safepath.ExplainNotDir(root, p.UnsafePath, err)
	}
	if p.OnProc {
		return f, nil
	}
	// The path may be a link to /proc/something: ask the kernel where it led.
	magic, err := linux.FilesystemOf(f)
	if err == nil && magic == unix.PROC_SUPER_MAGIC {
		err = fmt.Errorf("%q cannot be mounted because it is inside /proc", "/"+p.UnsafePath)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (p Place) find(root *os.File, wantDir func() (bool, error)) (*os.File, error) {
	switch {
	case p.Plain:
		f, err := safepath.OpenNoLinks(root, p.UnsafePath, unix.O_PATH|unix.O_DIRECTORY)
		if errors.Is(err, unix.ENOENT) {
			if f, err = safepath.MkdirAll(root, p.UnsafePath, 0o755); err == nil {
				f.Close()
				f, err = safepath.OpenNoLinks(root, p.UnsafePath, unix.O_PATH|unix.O_DIRECTORY)
			}
		}
		if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
			return nil, fmt.Errorf("%q must be mounted on ordinary directory: %w", "/"+p.UnsafePath, err)
		}
		return f, err
	case p.NoFollow:
		f, err := safepath.OpenLast(root, p.UnsafePath, unix.O_PATH)
		if !errors.Is(err, unix.ENOENT) {
			return f, err
		}
	}
	return safepath.Target(root, p.UnsafePath, wantDir)
}

func yes() (bool, error) { return true, nil }

// attach puts a detached mount in its place, after it has been changed as list says.
func attach(b *step.Sandbox, mount *os.File, p Place, wantDir func() (bool, error), list []linux.MountAttr) error {
	target, err := p.open(b.Root, wantDir)
	if err != nil {
		return err
	}
	defer target.Close()
	return finish(b, mount, target, list)
}

// finish changes a detached mount and attaches it. A kernel without mount attributes by
// handle can change it only when it is attached.
func finish(b *step.Sandbox, mount, target *os.File, list []linux.MountAttr) error {
	if oldKernel(b.Input) {
		if err := move(mount, target); err != nil {
			return err
		}
		return oldSetAttrs(b, mount, list)
	}
	if err := setAttrs(mount, list); err != nil {
		return err
	}
	return move(mount, target)
}

// change changes a mount that is attached.
func change(b *step.Sandbox, mount *os.File, list ...linux.MountAttr) error {
	if oldKernel(b.Input) {
		return oldSetAttrs(b, mount, list)
	}
	return setAttrs(mount, list)
}

func move(mount, target *os.File) error {
	err := linux.MoveMount(mount, target)
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	// Of all that EINVAL can mean, say the one that a user can mend; mount(2) has an errno
	// for it, which callers know.
	from, fromErr := isDir(mount)()
	to, toErr := isDir(target)()
	if fromErr != nil || toErr != nil || from == to {
		return err
	}
	return &wrongKind{"mount", from}
}

// A wrongKind is the ENOTDIR of a directory that should go onto a file, or the other way
// round.
type wrongKind struct {
	verb string
	dir  bool // it is a directory that should be attached
}

func (e *wrongKind) Error() string {
	what := "a file onto a directory"
	if e.dir {
		what = "a directory onto a file"
	}
	return "cannot " + e.verb + " " + what + ": " + unix.ENOTDIR.Error()
}

func (*wrongKind) Unwrap() error { return unix.ENOTDIR }

// isDir returns a function that says whether f is a directory.
func isDir(f *os.File) func() (bool, error) {
	return func() (bool, error) {
		st, err := linux.Stat(f)
		return st.Mode&unix.S_IFMT == unix.S_IFDIR, err
	}
}

// setAttrs makes changes to a mount, in as few calls as keep their order.
func setAttrs(mount *os.File, list []linux.MountAttr) error {
	var call linux.MountAttr
	for _, c := range list {
		if nothing(c) || join(&call, c) {
			continue
		}
		if err := linux.SetMountAttr(mount, call); err != nil {
			return err
		}
		call = c
	}
	if nothing(call) {
		return nil
	}
	return linux.SetMountAttr(mount, call)
}

// flat makes recursive changes plain, for a mount with nothing below it: then they can
// be made in one call with plain ones.
func flat(list []linux.MountAttr) []linux.MountAttr {
	for i := range list {
		list[i].Recursive = false
	}
	return list
}

func nothing(c linux.MountAttr) bool { return c.Set|c.Clear|c.Propagation == 0 }

// join adds the change c to call, if one call can do both.
func join(call *linux.MountAttr, c linux.MountAttr) bool {
	if nothing(*call) {
		*call = c
		return true
	}
	if call.Recursive != c.Recursive || call.Propagation != 0 && c.Propagation != 0 {
		return false
	}
	if call.UserNS != nil && c.UserNS != nil {
		return false
	}
	// The kernel clears first, so a bit in both is set.
	call.Set = call.Set&^c.Clear | c.Set
	call.Clear |= c.Clear
	call.Propagation |= c.Propagation
	if c.UserNS != nil {
		call.UserNS = c.UserNS
	}
	return true
}

// propagate turns MS_* flags into changes.
func propagate(flags []uint64) []linux.MountAttr {
	list := make([]linux.MountAttr, 0, len(flags))
	for _, f := range flags {
		list = append(list, linux.MountAttr{Propagation: f &^ unix.MS_REC, Recursive: f&unix.MS_REC != 0})
	}
	return list
}

// mountError says which mount failed, in the words that callers look for.
func mountError(source, unsafePath string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("error mounting %q to rootfs at %q: %w", source, "/"+unsafePath, err)
}
