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
	data := oldData(s.Data)
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
	if err := change(b, mount, list...); err != nil {
		return err
	}
	return setLabel(mount, s.Label)
}

// oldData joins options. An SELinux label has commas of its own, so it is quoted.
func oldData(data []string) string {
	quoted := make([]string, 0, len(data))
	for _, d := range data {
		if key, value, ok := strings.Cut(d, "="); ok && strings.HasSuffix(key, "context") && strings.Contains(value, ",") && value[0] != '"' {
			d = key + `="` + value + `"`
		}
		quoted = append(quoted, d)
	}
	return strings.Join(quoted, ",")
}

// oldFlags translates MOUNT_ATTR_* into MS_*.
func oldFlags(attr uint64) uintptr {
	var flags uintptr
	for _, f := range [...]struct {
		attr uint64
		flag uintptr
	}{
		{unix.MOUNT_ATTR_RDONLY, unix.MS_RDONLY},
		{unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID},
		{unix.MOUNT_ATTR_NODEV, unix.MS_NODEV},
		{unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC},
		{unix.MOUNT_ATTR_NOATIME, unix.MS_NOATIME},
		{unix.MOUNT_ATTR_STRICTATIME, unix.MS_STRICTATIME},
		{unix.MOUNT_ATTR_NODIRATIME, unix.MS_NODIRATIME},
		{unix.MOUNT_ATTR_NOSYMFOLLOW, unix.MS_NOSYMFOLLOW},
	} {
		if attr&f.attr != 0 {
			flags |= f.flag
		}
	}
	return flags
}

// oldKernel reports whether mount_setattr(2) is not there yet: Linux 5.10 and 5.11.
func oldKernel(in *step.Input) bool {
	return in.Facts.Kernel != [2]int{} && !in.Facts.AtLeast(5, 12)
}

// oldSetAttrs is setAttrs with mount(2), which changes attached mounts only, and sets all
// flags at once.
func oldSetAttrs(b *step.Sandbox, mount *os.File, list []linux.MountAttr) error {
	for _, c := range list {
		if nothing(c) {
			continue
		}
		if c.Recursive && c.Set|c.Clear != 0 {
			return &linux.Unsupported{Feature: "recursive mount attributes", Since: "5.12"}
		}
		if c.Propagation != 0 {
			flags := uintptr(c.Propagation)
			if c.Recursive {
				flags |= unix.MS_REC
			}
			if err := mountOnHandle(b, mount, flags); err != nil {
				return err
			}
		}
		if c.Set|c.Clear == 0 {
			continue
		}
		flags, err := flagsOf(mount)
		if err != nil {
			return err
		}
		flags = flags&^oldFlags(c.Clear) | oldFlags(c.Set)
		if err := mountOnHandle(b, mount, flags|unix.MS_REMOUNT|unix.MS_BIND); err != nil {
			return err
		}
	}
	return nil
}

// flagsOf returns the flags that a mount has, as mount(2) takes them.
func flagsOf(mount *os.File) (uintptr, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(mount.Fd()), &st); err != nil {
		return 0, &os.PathError{Op: "fstatfs", Path: mount.Name(), Err: err}
	}
	var flags uintptr
	for _, f := range [...]struct {
		st   int64
		flag uintptr
	}{
		{unix.ST_RDONLY, unix.MS_RDONLY},
		{unix.ST_NOSUID, unix.MS_NOSUID},
		{unix.ST_NODEV, unix.MS_NODEV},
		{unix.ST_NOEXEC, unix.MS_NOEXEC},
		{unix.ST_NOATIME, unix.MS_NOATIME},
		{unix.ST_NODIRATIME, unix.MS_NODIRATIME},
		{unix.ST_RELATIME, unix.MS_RELATIME},
	} {
		if int64(st.Flags)&f.st != 0 {
			flags |= f.flag
		}
	}
	return flags, nil
}

// mountOnHandle is mount(2) on a handle, through the procfs that PrepareRoot has made: the
// container's may be covered, and does not know us.
func mountOnHandle(b *step.Sandbox, mount *os.File, flags uintptr) error {
	if err := linux.Chdir(b.Proc); err != nil {
		return err
	}
	err := linux.Mount("", strings.TrimPrefix(linux.ProcPath(mount), "/proc/"), "", flags, "")
	if chdirErr := unix.Chdir("/"); err == nil && chdirErr != nil {
		err = os.NewSyscallError("chdir", chdirErr)
	}
	return err
}
