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

// AttachTree places a file or directory of the host in the container. The source is opened
// on the host, because it can lie where the builder may not go, and because an id-mapped
// mount needs privileges over the source's file system. If ocirt has no privileges there,
// the builder opens it, which still sees the host's files.
type AttachTree struct {
	Source      string // absolute, on the host
	Place       Place
	Recursive   bool // with the mounts below it
	Attr        Attr
	RecAttr     Attr
	Host        uint64 // propagation towards the host, before Propagation: MS_* flags
	Propagation []uint64
	IDMap       *IDMap
	CopySymlink bool // a link is made anew, not followed
	NoFollow    bool // a link is bound itself
}

func compileTree(in *step.Input, m specs.Mount, o *options, place Place) (step.Step, error) {
	if m.Source == "" {
		return nil, errors.New("source: must not be empty for a bind mount")
	}
	// Words for a file system mean nothing to a bind: validation warns.
	idmap, err := compileIDMap(in, m, o)
	if err != nil {
		return nil, err
	}
	host, err := hostPropagation(in)
	if err != nil {
		return nil, err
	}
	if in.UserNS() && host&unix.MS_SHARED != 0 {
		// A container with ids of its own must not change what the host has mounted. The
		// kernel sees to it for mounts that cross with a new mount namespace; this tree is
		// opened on the host, and would stay a peer of the host's mounts.
		host = unix.MS_SLAVE | unix.MS_REC
	}
	return AttachTree{
		Source: source(in, m.Source), Place: place, Recursive: o.recursive, Attr: o.attr, RecAttr: o.recAttr,
		Host: host, Propagation: o.propagation, IDMap: idmap, CopySymlink: o.copySymlink, NoFollow: o.srcNoFollow,
	}, nil
}

func (s AttachTree) String() string {
	mapped := ""
	if s.IDMap != nil {
		mapped = "id-mapped"
	}
	return "attach " + s.Source + " on /" + s.Place.UnsafePath +
		notes(readOnlyNote(s.Attr, s.RecAttr), propagationNote(s.Propagation), mapped)
}

// Open opens the source on the host, with all its attributes. No file is returned when
// ocirt may not, or when the builder may as well: it sees the host's files and has all
// rights if nothing but a new mount namespace stands between. What it opens gets its place
// among the mounts in the order of config.json, which is what mountinfo shows.
func (s AttachTree) Open(h *step.Host) ([]*os.File, error) {
	if s.IDMap == nil && h.Input.NewNamespace(specs.MountNamespace) && !h.Input.UserNS() {
		return nil, nil
	}
	tree, err := s.open()
	if errors.Is(err, unix.EPERM) && s.IDMap == nil {
		return nil, nil
	}
	if err == nil {
		if err = s.set(h, tree); err != nil {
			tree.Close()
		}
	}
	if err != nil {
		return nil, mountError(s.Source, s.Place.UnsafePath, err)
	}
	return []*os.File{tree}, nil
}

// open opens the source: a detached tree, or a link that is to be copied.
func (s AttachTree) open() (*os.File, error) {
	if s.CopySymlink {
		f, err := linux.OpenAt(nil, s.Source, unix.O_PATH|unix.O_NOFOLLOW, 0)
		if err != nil {
			return nil, err
		}
		if link, err := isLink(f); link || err != nil {
			return f, err
		}
		f.Close()
	}
	flags := uint(unix.OPEN_TREE_CLONE)
	if s.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	if s.NoFollow {
		flags |= unix.AT_SYMLINK_NOFOLLOW
	}
	return linux.OpenTree(nil, s.Source, flags)
}

func isLink(f *os.File) (bool, error) {
	st, err := linux.Stat(f)
	return st.Mode&unix.S_IFMT == unix.S_IFLNK, err
}

// set gives the tree, opened on the host, its attributes.
func (s AttachTree) set(h *step.Host, tree *os.File) error {
	if s.CopySymlink {
		if link, err := isLink(tree); link || err != nil {
			return err
		}
	}
	if oldKernel(h.Input) {
		if s.IDMap != nil {
			return &linux.Unsupported{Feature: "id-mapped mounts", Since: "5.12"}
		}
		return nil // must be attached first
	}
	list := s.changes(s.Host)
	if s.IDMap != nil {
		ns, err := s.IDMap.userNamespace()
		if err != nil {
			return err
		}
		defer ns.Close()
		list = append(list, linux.MountAttr{Set: unix.MOUNT_ATTR_IDMAP, UserNS: ns, Recursive: s.IDMap.Recursive})
	}
	return setAttrs(tree, list)
}

// changes is what is to be done to the tree when it is opened. Host is the propagation
// towards the host, 0 if the tree was opened in the container's mount namespace.
func (s AttachTree) changes(host uint64) []linux.MountAttr {
	list := make([]linux.MountAttr, 0, 4)
	if s.needsHost(host) {
		list = append(list, propagate([]uint64{host | unix.MS_REC})...)
	}
	list = append(list, propagate(s.Propagation)...)
	list = append(list, linux.MountAttr{Set: s.Attr.Set, Clear: s.Attr.Clear},
		linux.MountAttr{Set: s.RecAttr.Set, Clear: s.RecAttr.Clear, Recursive: true})
	if !s.Recursive {
		flat(list)
	}
	return list
}

// needsHost reports whether the propagation towards the host must be set first: a tree
// opened on the host belongs to the host's peers. Where the first word of the mount's own
// cuts all of it off, that is enough.
func (s AttachTree) needsHost(host uint64) bool {
	if host&^unix.MS_REC == unix.MS_SHARED || host == 0 {
		return false
	}
	if len(s.Propagation) == 0 {
		return true
	}
	first := s.Propagation[0]
	whole := first&unix.MS_REC != 0 || !s.Recursive
	return !whole || first&unix.MS_SHARED != 0
}

// Do attaches the tree.
func (s AttachTree) Do(b *step.Sandbox) error {
	return mountError(s.Source, s.Place.UnsafePath, s.do(b))
}

func (s AttachTree) do(b *step.Sandbox) error {
	var list []linux.MountAttr
	var tree *os.File
	if len(b.Files) == 1 {
		tree = b.Files[0]
		if oldKernel(b.Input) {
			list = s.changes(s.Host)
		}
	} else {
		var err error
		if tree, err = s.open(); err != nil {
			return err
		}
		list = s.changes(0)
	}
	defer tree.Close()
	if s.CopySymlink {
		if link, err := isLink(tree); link || err != nil {
			if err != nil {
				return err
			}
			return s.copyLink(b, tree)
		}
	}
	if s.Place.UnsafePath == "proc" {
		if err := checkProcfs(b, tree); err != nil {
			return err
		}
	}
	err := attach(b, tree, s.Place, isDir(tree), list)
	var kind *wrongKind
	if errors.As(err, &kind) {
		kind.verb = "bind"
	}
	return err
}

// checkProcfs makes sure that what is bound on /proc is a procfs, best the whole of it.
func checkProcfs(b *step.Sandbox, tree *os.File) error {
	magic, err := linux.FilesystemOf(tree)
	if err != nil {
		return err
	}
	st, err := linux.Stat(tree)
	if err != nil {
		return err
	}
	if magic != unix.PROC_SUPER_MAGIC {
		return fmt.Errorf("%q cannot be mounted because it is not of type proc", "/proc")
	}
	if st.Ino != procRootInode && b.Warn != nil {
		b.Warn("%s, bound on /proc, is only a part of a procfs", tree.Name())
	}
	return nil
}

// procRootInode is the inode of the root of every procfs (include/linux/proc_ns.h).
const procRootInode = 1

// copyLink makes a link like the source. One that says the same already is as good.
func (s AttachTree) copyLink(b *step.Sandbox, link *os.File) error {
	text, err := linux.ReadlinkAt(link, "")
	if err != nil {
		return err
	}
	dir, name, err := safepath.Parent(b.Root, s.Place.UnsafePath, 0o755)
	if err != nil {
		return err
	}
	defer dir.Close()
	return symlink(text, dir, name)
}

// symlink makes a link, or accepts the same one.
func symlink(text string, dir *os.File, name string) error {
	err := linux.SymlinkAt(text, dir, name)
	if errors.Is(err, unix.EEXIST) {
		if there, readErr := linux.ReadlinkAt(dir, name); readErr == nil && there == text {
			return nil
		}
	}
	return err
}
