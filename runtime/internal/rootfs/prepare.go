package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// PrepareRoot parts the mount namespace from the host's and makes the container's root a
// mount of its own, of which Sandbox.Root becomes the handle.
type PrepareRoot struct {
	Path        string // on the host
	Propagation uint64 // of all the host's mounts as the container sees them: MS_* flags
	Joined      bool   // the mount namespace was there before
}

// OpenRoot only opens the container's root: it shares the host's mount namespace.
type OpenRoot struct{ Path string }

// Prepare compiles root.path and the first half of linux.rootfsPropagation.
func Prepare(in *step.Input, emit step.Emit) error {
	root := in.Bundle.RootPath()
	if in.Namespace(specs.MountNamespace) == nil {
		emit("/root/path", OpenRoot{root})
		return nil
	}
	flags, err := hostPropagation(in)
	if err != nil {
		return err
	}
	emit("/root/path", PrepareRoot{root, flags, !in.NewNamespace(specs.MountNamespace)})
	return nil
}

// hostPropagation is how mounts of the host and the container reach each other while the
// container is built: by default the host's reach the container and none the other way.
func hostPropagation(in *step.Input) (uint64, error) {
	l := in.Bundle.Spec.Linux
	if l == nil || l.RootfsPropagation == "" {
		return unix.MS_SLAVE | unix.MS_REC, nil
	}
	p := propagation(l.RootfsPropagation)
	switch p &^ unix.MS_REC {
	case 0:
		return 0, fmt.Errorf("linux.rootfsPropagation: unknown %q", l.RootfsPropagation)
	case unix.MS_UNBINDABLE: // is for later: we have to bind the root ourselves
		return unix.MS_PRIVATE | p&unix.MS_REC, nil
	}
	return p, nil
}

func (s OpenRoot) String() string    { return "open " + s.Path + " as the root" }
func (s PrepareRoot) String() string { return "prepare " + s.Path + " as the root" }

// Early: the mounts are those of the thread that builds.
func (OpenRoot) Early() bool { return true }

// Early: as OpenRoot's.
func (PrepareRoot) Early() bool { return true }

// Do opens the root.
func (s OpenRoot) Do(b *step.Sandbox) error {
	unix.Umask(0)
	f, err := linux.OpenAt(nil, s.Path, unix.O_PATH|unix.O_DIRECTORY, 0)
	b.Root = f
	return err
}

// Do binds the root on itself. The thread's umask becomes 0: all modes are given in full.
func (s PrepareRoot) Do(b *step.Sandbox) error {
	unix.Umask(0)
	err := ownMountNamespace(os.Getppid())
	if err != nil && (!s.Joined || !errors.Is(err, unix.ENOENT)) { // its procfs may not know us
		return err
	}
	if err := linux.Mount("", "/", "", uintptr(s.Propagation), ""); err != nil {
		return fmt.Errorf("cannot set the propagation of mounts: %w", err)
	}
	if s.Propagation != unix.MS_SLAVE|unix.MS_REC && s.Propagation != unix.MS_PRIVATE|unix.MS_REC {
		if err := privateParent(s.Path); err != nil {
			return err
		}
	}
	if oldKernel(b.Input) && b.Proc == nil { // needed behind the change of root, too late to find one
		proc, err := safepath.Proc()
		if err != nil {
			return err
		}
		b.Proc = proc
	}
	root, err := linux.OpenTree(nil, s.Path, unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return err
	}
	if err := s.place(root); err != nil {
		root.Close()
		return err
	}
	b.Root = root
	return nil
}

func (s PrepareRoot) place(root *os.File) error {
	dir, err := isDir(root)()
	if err == nil && !dir {
		err = &os.PathError{Op: "open_tree", Path: s.Path, Err: unix.ENOTDIR}
	}
	if err != nil {
		return err
	}
	place, err := linux.OpenAt(nil, s.Path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer place.Close()
	return linux.MoveMount(root, place)
}

// ownMountNamespace makes sure that we are not in the mount namespace of the process that
// started us: changing the propagation there would cut the host's mounts off from each
// other. A builder that is a thread differs from its process; one that is a process of its
// own differs from its parent.
func ownMountNamespace(parent int) error {
	ours, err := mountNamespace("thread-self")
	if err != nil {
		return err
	}
	if whole, err := mountNamespace("self"); err == nil && whole != ours || parent == 0 {
		return nil
	}
	parents, err := mountNamespace(strconv.Itoa(parent))
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		// The parent is not ours to look at, so it is in another user namespace; that
		// one owns its mounts, and the kernel keeps our hands off them.
		return nil
	}
	if err != nil {
		return err
	}
	if parents == ours {
		return errors.New("bug in ocirt: the builder is in the host's mount namespace")
	}
	return nil
}

func mountNamespace(process string) (uint64, error) {
	var st unix.Stat_t
	path := "/proc/" + process + "/ns/mnt"
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}

// privateParent makes the mount that path lies on private, so that what is mounted in the
// container does not reach the host, and so that pivot_root agrees.
func privateParent(path string) error {
	for {
		f, err := linux.OpenAt(nil, path, unix.O_PATH, 0)
		if err != nil {
			return err
		}
		_, root, err := linux.MountOf(f)
		f.Close()
		if err != nil {
			return err
		}
		if root || path == "/" {
			return linux.Mount("", path, "", unix.MS_PRIVATE, "")
		}
		path = filepath.Dir(path)
	}
}
