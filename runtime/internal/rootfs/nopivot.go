package rootfs

import (
	"bufio"
	"errors"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// MoveRoot puts the container's root over the host's and changes into it: for hosts that
// run from an initramfs, where pivot_root cannot work. The host's mounts stay in the
// namespace, hidden.
type MoveRoot struct{}

// EnterRoot makes the container's process enter the root that the builder made; after
// PivotRoot it is there already.
type EnterRoot struct {
	UnsafePath string // "" if the root covers the old one
}

// Enter compiles the process's own change of root. It stands first among what the process
// does to itself, where it still has the privilege.
func Enter(in *step.Input, emit step.Emit) error {
	switch {
	case in.Namespace(specs.MountNamespace) == nil:
		emit("/root/path", EnterRoot{in.Bundle.RootPath()})
	case in.Options.NoPivot && in.Join == nil: // joining a namespace leads to its topmost root
		emit("/root/path", EnterRoot{})
	}
	return nil
}

func (MoveRoot) String() string  { return "change root without pivot_root" }
func (EnterRoot) String() string { return "enter the new root" }

// Lower writes chdir and chroot. The parent of the root directory is the root directory,
// but going there crosses to what is mounted over it.
func (s EnterRoot) Lower(in *step.Init) error {
	path := s.UnsafePath
	if path == "" {
		path = "/.."
	}
	in.Call(unix.SYS_CHDIR, in.String(path)).Label("go to the root")
	in.Call(unix.SYS_CHROOT, in.String(".")).Label("change root")
	in.Call(unix.SYS_CHDIR, in.String("/")).Label("go to the root")
	return nil
}

// Do moves the root.
func (MoveRoot) Do(b *step.Sandbox) error {
	if err := hideKernelMounts(b.Root.Name()); err != nil {
		return err
	}
	if err := linux.Chdir(b.Root); err != nil {
		return err
	}
	if err := linux.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	return enter(b.Root)
}

// hideKernelMounts takes the host's procfs and sysfs mounts away, which would let a
// container in a user namespace mount its own without the host's masks, and which a
// process that breaks out of a chroot would find.
func hideKernelMounts(root string) error {
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 64<<10), 4<<20)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		kind, _, _ := strings.Cut(after, " ")
		fields := strings.Fields(before)
		if kind != "proc" && kind != "sysfs" || len(fields) < 5 {
			continue
		}
		point := unescape(fields[4])
		if point != root && !strings.HasPrefix(point, root+"/") {
			points = append(points, point)
		}
	}
	err = errors.Join(lines.Err(), f.Close())
	if err != nil {
		return err
	}
	for _, p := range points {
		if err := hide(p); err != nil {
			return err
		}
	}
	return nil
}

func hide(point string) error {
	if err := linux.Mount("", point, "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return nil // gone with another
		}
		return err
	}
	err := linux.Unmount(point, unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		// Not ours to take away: cover it.
		return linux.Mount("tmpfs", point, "tmpfs", 0, "")
	}
	return err
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			b = append(b, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|s[i+3]-'0')
			i += 3
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}
