package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// A Device is a device node or FIFO.
type Device struct {
	UnsafePath   string
	Kind         uint32 // S_IFCHR, S_IFBLK or S_IFIFO
	Major, Minor uint32
	Mode         uint32
	UID, GID     uint32
}

// MakeDefaultDevices makes the devices that the specification wants in every container.
type MakeDefaultDevices struct{ Devices []Device }

// MakeDevice makes one device of linux.devices.
type MakeDevice struct{ Device }

// LinkDevices makes the links in /dev that the specification wants: to the process's own
// descriptors, and to the terminal multiplexer of the container's own devpts.
type LinkDevices struct{}

// defaults are the devices of every container (runtime-spec, config-linux.md, "Default
// Devices"); /dev/ptmx is a link, /dev/console comes with a terminal.
func defaults() []Device {
	const all = 0o666
	return []Device{
		{"dev/null", unix.S_IFCHR, 1, 3, all, 0, 0},
		{"dev/zero", unix.S_IFCHR, 1, 5, all, 0, 0},
		{"dev/full", unix.S_IFCHR, 1, 7, all, 0, 0},
		{"dev/random", unix.S_IFCHR, 1, 8, all, 0, 0},
		{"dev/urandom", unix.S_IFCHR, 1, 9, all, 0, 0},
		{"dev/tty", unix.S_IFCHR, 5, 0, all, 0, 0},
	}
}

// Devices compiles linux.devices and the default devices. A container that gets a /dev of
// the host gets what is in it, and nothing is made there.
func Devices(in *step.Input, emit step.Emit) error {
	if in.Namespace(specs.MountNamespace) == nil || devIsBound(in) {
		return nil
	}
	var wanted []Device
	l := in.Bundle.Spec.Linux
	if l != nil {
		for i, d := range l.Devices {
			dev, err := compileDevice(d)
			if err != nil {
				return fmt.Errorf("linux.devices[%d]: %w", i, err)
			}
			wanted = append(wanted, dev)
		}
	}
	own := defaults()
	kept := own[:0]
	for _, d := range own {
		if !has(wanted, d.UnsafePath) {
			kept = append(kept, d)
		}
	}
	emit("ocirt", MakeDefaultDevices{kept})
	for i, d := range wanted {
		if d.UnsafePath != "dev/ptmx" && d.UnsafePath != "dev/console" { // ours win
			emit("/linux/devices/"+strconv.Itoa(i), MakeDevice{d})
		}
	}
	emit("ocirt", LinkDevices{})
	return nil
}

func has(list []Device, unsafePath string) bool {
	for _, d := range list {
		if d.UnsafePath == unsafePath {
			return true
		}
	}
	return false
}

// devIsBound reports whether the container's /dev is one of the host's directories, or its
// devtmpfs, of which there is only one.
func devIsBound(in *step.Input) bool {
	bound := false
	for _, m := range in.Bundle.Spec.Mounts {
		if safepath.Clean(m.Destination) == "dev" {
			o := parseOptions(m.Options)
			bound = isBind(m, &o) || m.Type == "devtmpfs"
		}
	}
	return bound
}

func compileDevice(d specs.LinuxDevice) (Device, error) {
	dev := Device{UnsafePath: safepath.Clean(d.Path), Mode: 0o666}
	switch d.Type {
	case "c", "u":
		dev.Kind = unix.S_IFCHR
	case "b":
		dev.Kind = unix.S_IFBLK
	case "p":
		dev.Kind = unix.S_IFIFO
	default:
		return Device{}, fmt.Errorf("type: unknown %q", d.Type)
	}
	if dev.Kind != unix.S_IFIFO {
		if d.Major < 0 || d.Major > 1<<12-1 || d.Minor < 0 || d.Minor > 1<<20-1 {
			return Device{}, fmt.Errorf("number %d:%d is out of range", d.Major, d.Minor)
		}
		dev.Major, dev.Minor = uint32(d.Major), uint32(d.Minor)
	}
	if d.FileMode != nil {
		dev.Mode = uint32(*d.FileMode) & 0o7777
	}
	if d.UID != nil {
		dev.UID = *d.UID
	}
	if d.GID != nil {
		dev.GID = *d.GID
	}
	return dev, nil
}

func (s MakeDefaultDevices) String() string {
	names := make([]string, 0, len(s.Devices))
	for _, d := range s.Devices {
		names = append(names, path.Base(d.UnsafePath))
	}
	return "make default devices" + notes(names...)
}

func (s MakeDevice) String() string {
	switch s.Kind {
	case unix.S_IFIFO:
		return "make FIFO /" + s.UnsafePath
	case unix.S_IFBLK:
		return fmt.Sprintf("make block device /%s (%d:%d)", s.UnsafePath, s.Major, s.Minor)
	}
	return fmt.Sprintf("make device /%s (%d:%d)", s.UnsafePath, s.Major, s.Minor)
}

func (s LinkDevices) String() string { return "make links /dev/fd, stdin, stdout, stderr and ptmx" }

// Do makes the devices.
func (s MakeDefaultDevices) Do(b *step.Sandbox) error {
	dev, err := openDev(b.Root)
	if err != nil {
		return err
	}
	defer dev.Close()
	for _, d := range s.Devices {
		if err := d.make(b, dev, path.Base(d.UnsafePath)); err != nil {
			return err
		}
	}
	return nil
}

// Do makes the device.
func (s MakeDevice) Do(b *step.Sandbox) error {
	at, below := b.Root, s.UnsafePath
	if rest, ok := strings.CutPrefix(below, "dev/"); ok {
		dev, err := openDev(b.Root)
		if err != nil {
			return err
		}
		defer dev.Close()
		at, below = dev, rest
	}
	dir, name, err := safepath.Parent(at, below, 0o755)
	if err != nil {
		return err
	}
	defer dir.Close()
	return s.make(b, dir, name)
}

// openDev opens the container's /dev, making it if the image has none. A link is refused:
// an image could send us elsewhere with it (CVE-2026-41579, CVE-2026-47766).
func openDev(root *os.File) (*os.File, error) {
	dev, err := safepath.OpenNoLinks(root, "dev", unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) {
		if err := linux.MkdirAt(root, "dev", 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, err
		}
		dev, err = safepath.OpenNoLinks(root, "dev", unix.O_PATH|unix.O_DIRECTORY)
	}
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("cannot use /dev: it is not an ordinary directory: %w", err)
	}
	return dev, err
}

func (d Device) number() uint64 { return unix.Mkdev(d.Major, d.Minor) }

// make makes the node in dir, or binds the host's where the kernel lets us make none.
func (d Device) make(b *step.Sandbox, dir *os.File, name string) error {
	if b.Input.UserNS() && d.Kind != unix.S_IFIFO {
		return d.bind(dir, name)
	}
	err := linux.MknodAt(dir, name, d.Kind|d.Mode, d.number())
	switch {
	case errors.Is(err, unix.EPERM) && d.Kind != unix.S_IFIFO:
		return d.bind(dir, name)
	case errors.Is(err, unix.EEXIST): // from the image, or a node that a mount has put there
	case err != nil:
		return err
	case d.UID == 0 && d.GID == 0: // it is as it should be
		return nil
	}
	f, err := d.check(dir, name)
	if err != nil {
		return err
	}
	defer f.Close()
	// A node that is mounted there is the host's own, and its owner and mode are the host's
	// affair (CVE-2026-88265).
	if _, mounted, err := linux.MountOf(f); mounted || err != nil {
		return err
	}
	if err := linux.Chown(f, int(d.UID), int(d.GID)); err != nil {
		return err
	}
	return linux.Chmod(f, d.Mode)
}

// check opens the node that stands there and makes sure that it is the one we want. What
// follows is done with the handle, not the name.
func (d Device) check(dir *os.File, name string) (*os.File, error) {
	f, err := linux.OpenAt(dir, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := d.is(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot make device /%s: a different file exists", d.UnsafePath)
	}
	return f, nil
}

func (d Device) is(f *os.File) error {
	st, err := linux.Stat(f)
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != d.Kind || d.Kind != unix.S_IFIFO && st.Rdev != d.number() {
		return fmt.Errorf("%s is not device %d:%d", f.Name(), d.Major, d.Minor)
	}
	return nil
}

// bind attaches the host's node: same name, same numbers.
func (d Device) bind(dir *os.File, name string) error {
	tree, err := linux.OpenTree(nil, "/"+d.UnsafePath, unix.OPEN_TREE_CLONE|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("cannot bind the host's device /%s: %w", d.UnsafePath, err)
	}
	defer tree.Close()
	if err := d.is(tree); err != nil {
		return fmt.Errorf("cannot bind the host's device /%s: %w", d.UnsafePath, err)
	}
	err = linux.MknodAt(dir, name, unix.S_IFREG|0o666, 0)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	target, err := linux.OpenAt(dir, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer target.Close()
	if link, err := isLink(target); link || err != nil {
		return errors.Join(err, fmt.Errorf("cannot make device /%s: a different file exists", d.UnsafePath))
	}
	return linux.MoveMount(tree, target)
}

// Do makes the links. Those of the image stay, except /dev/ptmx, which must not lead to
// another devpts.
func (s LinkDevices) Do(b *step.Sandbox) error {
	dev, err := openDev(b.Root)
	if err != nil {
		return err
	}
	defer dev.Close()
	links := [][2]string{
		{"/proc/self/fd", "fd"},
		{"/proc/self/fd/0", "stdin"},
		{"/proc/self/fd/1", "stdout"},
		{"/proc/self/fd/2", "stderr"},
	}
	if unix.Access("/proc/kcore", unix.F_OK) == nil {
		links = append(links, [2]string{"/proc/kcore", "core"})
	}
	for _, l := range links {
		if err := linux.SymlinkAt(l[0], dev, l[1]); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	err = symlink("pts/ptmx", dev, "ptmx")
	if errors.Is(err, unix.EEXIST) {
		if err = linux.UnlinkAt(dev, "ptmx"); err == nil {
			err = linux.SymlinkAt("pts/ptmx", dev, "ptmx")
		}
	}
	return err
}
