package rootfs

import (
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// Remount changes a mount that is there: one of the image's, or an earlier one of ours.
type Remount struct {
	Place       Place
	Attr        Attr
	RecAttr     Attr
	Super       Super
	Propagation []uint64
	Data        []string
	Bind        bool // only the mount, not its file system
}

func (s Remount) String() string {
	return "remount /" + s.Place.UnsafePath + notes(readOnlyNote(s.Attr, s.RecAttr), propagationNote(s.Propagation))
}

// Do changes the mount.
func (s Remount) Do(b *step.Sandbox) error {
	return mountError("", s.Place.UnsafePath, s.do(b))
}

func (s Remount) do(b *step.Sandbox) error {
	mount, err := s.Place.open(b.Root, yes)
	if err != nil {
		return err
	}
	defer mount.Close()
	list := append([]linux.MountAttr{{Set: s.Attr.Set, Clear: s.Attr.Clear}}, propagate(s.Propagation)...)
	list = append(list, linux.MountAttr{Set: s.RecAttr.Set, Clear: s.RecAttr.Clear, Recursive: true})
	if err := change(b, mount, list...); err != nil {
		return err
	}
	// The same word is about the file system too, where that differs.
	const ro = unix.MOUNT_ATTR_RDONLY
	if s.Bind || len(s.Data) == 0 && s.Super == (Super{}) && s.Attr.Clear&ro == 0 {
		return nil
	}
	fs, err := linux.PickFilesystem(mount)
	if err != nil {
		return err
	}
	defer fs.Close()
	if s.Attr.Clear&ro != 0 {
		if err := fs.Flag("rw"); err != nil {
			return err
		}
	}
	if err := configure(fs, s.Super, s.Data); err != nil {
		return err
	}
	return fs.Reconfigure()
}
