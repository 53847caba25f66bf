package rootfs

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// Mount mounts a file system of its own kind: not a bind, not a procfs.
type Mount struct {
	Type, Source string
	Place        Place
	Attr         Attr
	RecAttr      Attr
	Super        Super
	Propagation  []uint64
	Data         []string
	CopyUp       bool   // tmpfs: begin with what the image has in the place
	Label        string // SELinux label set after mounting
}

func (s Mount) String() string {
	up := ""
	if s.CopyUp {
		up = "with the image's files"
	}
	return "mount " + s.Type + " on /" + s.Place.UnsafePath +
		notes(readOnlyNote(s.Attr, s.RecAttr), propagationNote(s.Propagation), up)
}

// Early reports whether this is a file system to which it does not matter which cgroups there
// are: those that nearly every container has.
func (s Mount) Early() bool {
	switch s.Type {
	case "tmpfs", "devpts", "mqueue", "sysfs":
		return true
	}
	return false
}

// Do builds the mount and attaches it.
func (s Mount) Do(b *step.Sandbox) error {
	return mountError(s.Source, s.Place.UnsafePath, s.do(b))
}

func (s Mount) do(b *step.Sandbox) error {
	target, err := s.Place.open(b.Root, yes)
	if err != nil {
		return err
	}
	defer target.Close()
	if s.Type == "tmpfs" && !hasKey(s.Data, "mode") {
		st, err := linux.Stat(target)
		if err != nil {
			return err
		}
		s.Data = append(s.Data[:len(s.Data):len(s.Data)], "mode="+strconv.FormatUint(uint64(st.Mode&0o7777), 8))
	}
	if s.needsOldCall() {
		return s.oldMount(b, target)
	}
	mount, err := s.detached()
	if s.Type == "sysfs" && errors.Is(err, unix.EPERM) {
		return s.hostSysfs(b, target)
	}
	if err != nil {
		return err
	}
	defer mount.Close()
	if s.CopyUp {
		if err := copyUp(target, mount); err != nil {
			return fmt.Errorf("cannot copy up the image's files: %w", err)
		}
	}
	if err := finish(b, mount, target, s.changes(s.CopyUp)); err != nil {
		return err
	}
	return setLabel(mount, s.Label)
}

// detached makes the mount with the attributes that it can have from the beginning.
func (s Mount) detached() (*os.File, error) {
	fs, err := linux.NewFilesystem(s.Type)
	if errors.Is(err, unix.ENODEV) {
		return nil, fmt.Errorf("unknown file system %q: %w", s.Type, err)
	}
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	if s.Source != "" {
		if err := fs.Set("source", s.Source); err != nil {
			return nil, err
		}
	}
	// A file system on a device is read-only itself; one that is shared with the host
	// only seems so here.
	if s.Attr.Set&unix.MOUNT_ATTR_RDONLY != 0 && strings.HasPrefix(s.Source, "/") {
		if err := fs.Flag("ro"); err != nil {
			return nil, err
		}
	}
	if err := configure(fs, s.Super, s.Data); err != nil {
		return nil, err
	}
	if err := fs.Create(); err != nil {
		return nil, err
	}
	attr := s.Attr.Set | s.RecAttr.Set&^unix.MOUNT_ATTR__ATIME
	if s.CopyUp {
		attr &^= unix.MOUNT_ATTR_RDONLY
	}
	return fs.Mount(attr)
}

// changes is what is left to do when the mount is made.
func (s Mount) changes(readOnlyLeft bool) []linux.MountAttr {
	list := propagate(s.Propagation)
	if a := s.RecAttr; a != (Attr{}) {
		list = append(list, linux.MountAttr{Set: a.Set, Clear: a.Clear})
	}
	if readOnlyLeft && s.Attr.Set&unix.MOUNT_ATTR_RDONLY != 0 {
		list = append(list, linux.MountAttr{Set: unix.MOUNT_ATTR_RDONLY})
	}
	return flat(list)
}

// configure gives a file system its flags and data.
func configure(fs *linux.Filesystem, super Super, data []string) error {
	for _, f := range [...]struct {
		bit     uintptr
		on, off string
	}{
		{unix.MS_SYNCHRONOUS, "sync", "async"},
		{unix.MS_DIRSYNC, "dirsync", ""},
		{unix.MS_LAZYTIME, "lazytime", "nolazytime"},
		{unix.MS_MANDLOCK, "mand", "nomand"},
	} {
		word := ""
		switch {
		case super.Set&f.bit != 0:
			word = f.on
		case super.Clear&f.bit != 0:
			word = f.off
		}
		if word == "" {
			continue
		}
		if err := fs.Flag(word); err != nil {
			return err
		}
	}
	for _, d := range data {
		key, value, ok := strings.Cut(d, "=")
		var err error
		if ok {
			err = fs.Set(key, value)
		} else {
			err = fs.Flag(key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func hasKey(data []string, key string) bool {
	for _, d := range data {
		if k, _, _ := strings.Cut(d, "="); k == key {
			return true
		}
	}
	return false
}

// hostSysfs attaches what a container gets that may not have a sysfs of its own, because
// its network namespace belongs to another user namespace: the host's, read-only.
func (s Mount) hostSysfs(b *step.Sandbox, target *os.File) error {
	tree, err := linux.OpenTree(nil, "/sys", unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer tree.Close()
	all := linux.MountAttr{Set: unix.MOUNT_ATTR_RDONLY, Recursive: true}
	own := linux.MountAttr{Set: s.Attr.Set &^ unix.MOUNT_ATTR__ATIME}
	return finish(b, tree, target, append([]linux.MountAttr{all, own}, propagate(s.Propagation)...))
}

func setLabel(mount *os.File, label string) error {
	if label == "" {
		return nil
	}
	err := unix.Setxattr(linux.ProcPath(mount), "security.selinux", []byte(label), 0)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil // the policy gives its files no labels, so there are none to forbid anything
	}
	return os.NewSyscallError("setxattr", err)
}

// AttachProc mounts a procfs. It shows the pid namespace of the process that makes it, so
// init makes it, and the builder attaches what it gets.
type AttachProc struct {
	Source      string
	Place       Place
	Attr        Attr
	RecAttr     Attr
	Propagation []uint64
	Data        []string
}

func (s AttachProc) String() string {
	return "mount proc on /" + s.Place.UnsafePath + notes(readOnlyNote(s.Attr, s.RecAttr), propagationNote(s.Propagation))
}

// Give writes init's part: a detached procfs.
func (s AttachProc) Give(p *entry.Program) ([]entry.Slot, error) {
	return s.GiveProc(p, func(words string) entry.Slot {
		return p.Call(unix.SYS_FSOPEN, p.String("proc"), unix.FSOPEN_CLOEXEC).Label(words + "fsopen").Keep()
	})
}

// GiveProc is Give for a procfs that somebody else opens.
func (s AttachProc) GiveProc(p *entry.Program, open func(words string) entry.Slot) ([]entry.Slot, error) {
	words := fmt.Sprintf("error mounting %q to rootfs at %q: ", s.Source, "/"+s.Place.UnsafePath)
	fs := open(words)
	set := func(key, value string) {
		p.Call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_STRING, p.String(key), p.String(value), 0).Label(words + "fsconfig " + key)
	}
	if s.Source != "" {
		set("source", s.Source)
	}
	for _, d := range s.Data {
		if key, value, ok := strings.Cut(d, "="); ok {
			set(key, value)
		} else {
			p.Call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_FLAG, p.String(d), 0, 0).Label(words + "fsconfig " + d)
		}
	}
	p.Call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_CMD_CREATE, 0, 0, 0).Label(words + "fsconfig")
	attr := s.Attr.Set | s.RecAttr.Set&^unix.MOUNT_ATTR__ATIME
	mount := p.Call(unix.SYS_FSMOUNT, fs, unix.FSMOUNT_CLOEXEC, attr).Label(words + "fsmount").Keep()
	p.Call(unix.SYS_CLOSE, fs)
	return []entry.Slot{mount}, nil
}

// Early: it needs nothing of init but the procfs.
func (AttachProc) Early() bool { return true }

// Do attaches the procfs.
func (s AttachProc) Do(b *step.Sandbox) error {
	if len(b.Files) != 1 {
		return fmt.Errorf("bug in ocirt: %d files for a procfs", len(b.Files))
	}
	mount := b.Files[0]
	defer mount.Close()
	list := Mount{Propagation: s.Propagation, RecAttr: s.RecAttr}.changes(false)
	err := isProc(mount)
	if err == nil {
		err = attach(b, mount, s.Place, yes, list)
	}
	return mountError(s.Source, s.Place.UnsafePath, err)
}

// isProc makes sure that what came is a procfs. It was made in a pid namespace in which, if
// that is joined, a hostile process may have spoken in the name of its maker.
func isProc(mount *os.File) error {
	magic, err := linux.FilesystemOf(mount)
	if err != nil {
		return err
	}
	st, err := linux.Stat(mount)
	if err == nil && (magic != unix.PROC_SUPER_MAGIC || st.Ino != procRootInode) {
		err = errors.New("unsafe procfs: it is not the root of a procfs")
	}
	return err
}
