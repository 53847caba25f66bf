package rootfs

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// maxData is how long the data of mount(2) may be: a page with its final NUL byte.
const maxData = 4095

// needsOldCall reports whether only mount(2) can do it: fsconfig takes no value longer
// than 255 bytes, which the lower directories of an overlay exceed, and has no word for
// i_version.
func (s Mount) needsOldCall() bool {
	if s.Super.Set&unix.MS_I_VERSION != 0 {
		return true
	}
	for _, d := range s.Data {
		if _, value, _ := strings.Cut(d, "="); len(value) > linux.MaxValue {
			return true
		}
	}
	return false
}

// oldMount mounts in one call on the target, which is made the working directory, so that
// no path is resolved.
func (s Mount) oldMount(b *step.Sandbox, target *os.File) error {
	data := strings.Join(s.Data, ",")
	if len(data) > maxData {
		return errors.New("options are longer than a page")
	}
	if s.CopyUp {
		return errors.New("option tmpcopyup cannot be used with these options")
	}
	if err := linux.Chdir(target); err != nil {
		return err
	}
	err := linux.Mount(s.Source, ".", s.Type, s.Super.Set|oldFlags(s.Attr.Set|s.RecAttr.Set), data)
	if chdirErr := unix.Chdir("/"); err == nil && chdirErr != nil {
		err = os.NewSyscallError("chdir", chdirErr)
	}
	if err != nil {
		return err
	}
	list := s.changes(false)
	if len(list) == 0 && s.Label == "" {
		return nil
	}
	mount, err := s.Place.open(b.Root, yes)
	if err != nil {
		return err
	}
	defer mount.Close()
	if err := setAttrs(mount, true, list...); err != nil {
		return err
	}
	return setLabel(mount, s.Label)
}

// oldFlags translates MOUNT_ATTR_* into MS_*.
func oldFlags(attr uint64) uintptr {
	var flags uintptr
	for _, f := range [...]struct {
		attr uint64
		flag uintptr
	}{
		{unix.MOUNT_ATTR_RDONLY, unix.MS_RDONLY}, {unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID},
		{unix.MOUNT_ATTR_NODEV, unix.MS_NODEV}, {unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC},
		{unix.MOUNT_ATTR_NOATIME, unix.MS_NOATIME}, {unix.MOUNT_ATTR_STRICTATIME, unix.MS_STRICTATIME},
		{unix.MOUNT_ATTR_NODIRATIME, unix.MS_NODIRATIME}, {unix.MOUNT_ATTR_NOSYMFOLLOW, unix.MS_NOSYMFOLLOW},
	} {
		if attr&f.attr != 0 {
			flags |= f.flag
		}
	}
	return flags
}
