package rootfs

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/steptest"
	"github.com/ocirt/ocirt/spec"
)

func TestDevices(t *testing.T) {
	mode := os.FileMode(0o640)
	uid := uint32(12)
	inContainer(t, func(in *step.Input) {
		in.Bundle.Spec.Mounts = usual()
		in.Bundle.Spec.Linux.Devices = []specs.LinuxDevice{
			{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200},
			{Path: "/dev/block", Type: "b", Major: 7, Minor: 0, FileMode: &mode, UID: &uid},
			{Path: "/run/fifo", Type: "p", FileMode: &mode},
			{Path: "/dev/null", Type: "u", Major: 1, Minor: 3, FileMode: &mode},
			{Path: "/dev/ptmx", Type: "c", Major: 5, Minor: 2},
			{Path: "/dev/console", Type: "c", Major: 5, Minor: 1},
		}
	}, func(_ *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for at, want := range map[string]unix.Stat_t{
			"/dev/net/tun": {Mode: unix.S_IFCHR | 0o666, Rdev: unix.Mkdev(10, 200)},
			"/dev/block":   {Mode: unix.S_IFBLK | 0o640, Rdev: unix.Mkdev(7, 0), Uid: 12},
			"/run/fifo":    {Mode: unix.S_IFIFO | 0o640},
			"/dev/null":    {Mode: unix.S_IFCHR | 0o640, Rdev: unix.Mkdev(1, 3)},
			"/dev/zero":    {Mode: unix.S_IFCHR | 0o666, Rdev: unix.Mkdev(1, 5)},
		} {
			var st unix.Stat_t
			if err := unix.Lstat(at, &st); err != nil || st.Mode != want.Mode || st.Rdev != want.Rdev || st.Uid != want.Uid {
				t.Errorf("%s: %o %x owner %d, %v", at, st.Mode, st.Rdev, st.Uid, err)
			}
		}
		if got, _ := os.Readlink("/dev/ptmx"); got != "pts/ptmx" {
			t.Errorf("/dev/ptmx: %q", got)
		}
		// It would be the host's; the container's comes with a terminal.
		if st, err := os.Lstat("/dev/console"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("/dev/console: %v, %v", st, err)
		}
	})
}

// Numbers that the kernel would cut are those of another device.
func TestDeviceNumbers(t *testing.T) {
	for _, d := range []specs.LinuxDevice{
		{Path: "/dev/x", Type: "c", Major: -1},
		{Path: "/dev/x", Type: "b", Minor: -1},
		{Path: "/dev/x", Type: "c", Major: 1 << 12},
		{Path: "/dev/x", Type: "u", Minor: 1 << 20},
		{Path: "/dev/x", Type: "c", Major: 1<<32 + 1},
	} {
		if got, err := compileDevice(d); err == nil || !strings.Contains(err.Error(), "is out of range") {
			t.Errorf("%+v: %+v, %v", d, got, err)
		}
	}
}

func TestDevicesOfTheImageAreTakenOver(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		write(t, inRoot(in, "dev/ptmx"), "old")
		if err := unix.Mknod(inRoot(in, "dev/null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
	}, func(_ *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Lstat("/dev/null"); err != nil || st.Mode().Perm() != 0o666 {
			t.Errorf("%v, %v", st.Mode(), err)
		}
		if got, _ := os.Readlink("/dev/ptmx"); got != "pts/ptmx" {
			t.Errorf("/dev/ptmx: %q", got)
		}
	})
}

// A device of the host that config.json mounts and lists as well keeps its owner and mode.
func TestMountedDeviceOfTheHostIsLeftAlone(t *testing.T) {
	var node string
	inContainer(t, func(in *step.Input) {
		node = t.TempDir() + "/null"
		if err := unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		uid := uint32(1000)
		write(t, inRoot(in, "dev/null"), "")
		in.Bundle.Spec.Mounts = append(in.Bundle.Spec.Mounts, bind(node, "/dev/null"))
		in.Bundle.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, UID: &uid, GID: &uid}}
	}, func(_ *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Lstat("/dev/null", &st); err != nil || st.Uid != 0 || st.Mode&0o777 != 0o600 {
			t.Errorf("owner %d, mode %o, %v", st.Uid, st.Mode, err)
		}
	})
}

func TestNoDevicesInTheHostsDev(t *testing.T) {
	var dir string
	inContainer(t, func(in *step.Input) {
		dir = t.TempDir()
		in.Bundle.Spec.Mounts = []specs.Mount{bind(dir, "/dev")}
	}, func(_ *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if list, _ := os.ReadDir("/dev"); len(list) != 0 {
			t.Errorf("made %v", list)
		}
	})
}

// Only compiled: what is made in a devtmpfs is made on the host.
func TestNoDevicesInDevtmpfs(t *testing.T) {
	for kind, none := range map[string]bool{"devtmpfs": true, "tmpfs": false} {
		in := &step.Input{Bundle: &spec.Bundle{Spec: &specs.Spec{
			Linux:  &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}}},
			Mounts: []specs.Mount{{Destination: "/dev", Type: kind, Source: kind}},
		}}}
		steps, err := steptest.Plan(in, Devices)
		if err != nil || len(steps) == 0 != none {
			t.Errorf("%s: %v, %v", kind, steps, err)
		}
	}
}

func TestDevicesInUserNamespace(t *testing.T) {
	need.UserNamespaces(t)
	steptest.In(t, steptest.Options{User: true, Network: true}, func(t *testing.T) {
		in := input(t, usual()...)
		in.Bundle.Spec.Linux.Namespaces = append(in.Bundle.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		in.Bundle.Spec.Linux.MaskedPaths = []string{"/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/acpi"}
		in.Bundle.Spec.Linux.ReadonlyPaths = []string{"/proc/sys"}
		in.Bundle.Spec.Root.Readonly = true
		steptest.Build(t, in, everything, func(b *step.Sandbox, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile("/dev/null", []byte("x"), 0); err != nil {
				t.Error(err)
			}
			if m := steptest.Find(t, steptest.Mounts(t, b), "/dev/tty"); m.Type != "devtmpfs" {
				t.Errorf("%+v", m)
			}
		})
	})
}

// Whose network namespace is the host's may not mount a sysfs.
func TestSysfsInUserNamespaceWithHostNetwork(t *testing.T) {
	need.UserNamespaces(t)
	steptest.In(t, steptest.Options{User: true}, func(t *testing.T) {
		in := input(t, usual()[5])
		in.Bundle.Spec.Linux.Namespaces = append(in.Bundle.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		steptest.Build(t, in, everything, func(b *step.Sandbox, err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range steptest.Mounts(t, b) {
				if strings.HasPrefix(m.Point, "/sys") && !m.Has("ro") {
					t.Errorf("writable: %+v", m)
				}
			}
			if _, err := os.Stat("/sys/kernel"); err != nil {
				t.Error(err)
			}
		})
	})
}

// A hostile image tries to have something made or mounted outside of the root.
func TestHostileImage(t *testing.T) {
	need.Root(t)
	ordinary := "must be mounted on ordinary directory"
	for name, c := range map[string]struct {
		image   func(t *testing.T, in *step.Input, canary string)
		extra   []specs.Mount
		masked  []string
		refused string // "" if the container is built, harmlessly
		at      string // where something is mounted then, inside; "CANARY" is where the canary is outside
	}{
		"dev-link":       {image: linkTo("dev"), refused: "cannot use /dev: it is not an ordinary directory"},
		"dev-link-tmpfs": {image: linkTo("dev"), extra: usual()[1:2], refused: "cannot use /dev: it is not an ordinary directory"},
		"proc-link":      {image: linkTo("proc"), extra: usual()[:1], refused: ordinary},
		"proc-file": {
			image: func(t *testing.T, in *step.Input, _ string) { write(t, inRoot(in, "proc"), "") }, extra: usual()[:1],
			refused: ordinary,
		},
		"sys-link":  {image: linkTo("sys"), extra: usual()[5:], refused: ordinary},
		"sys-proc":  {image: func(t *testing.T, in *step.Input, _ string) { link(t, "proc", inRoot(in, "sys")) }, extra: usual(), refused: ordinary},
		"target":    {image: linkTo("mnt"), extra: []specs.Mount{tmpfs("/mnt")}, at: "CANARY"},
		"up":        {image: func(t *testing.T, in *step.Input, _ string) { link(t, "../../../../..", inRoot(in, "mnt")) }, extra: []specs.Mount{tmpfs("/mnt/tmp")}, at: "/tmp"},
		"dotdot":    {extra: []specs.Mount{tmpfs("/../../../x")}, at: "/x"},
		"deep":      {image: linkTo("mnt"), extra: []specs.Mount{tmpfs("/mnt/a/b/c")}, at: "CANARY/a/b/c"},
		"file":      {image: linkTo("etc"), extra: []specs.Mount{bind("/etc/passwd", "/etc/x")}, at: "CANARY/x"},
		"into-proc": {image: func(t *testing.T, in *step.Input, _ string) { link(t, "/proc/fs", inRoot(in, "x")) }, extra: append(usual(), tmpfs("/x")), refused: "inside /proc"},
		"magic":     {image: func(t *testing.T, in *step.Input, _ string) { link(t, "/proc/self/root", inRoot(in, "x")) }, extra: []specs.Mount{bind("/proc", "/proc", "rbind"), tmpfs("/x/tmp")}, refused: "outside of the container root"},
		"null-link": {image: linkTo("dev/null"), refused: "a different file exists"},
		"null-file": {image: func(t *testing.T, in *step.Input, _ string) { write(t, inRoot(in, "dev/null"), "") }, refused: "a different file exists"},
		"null-zero": {image: func(t *testing.T, in *step.Input, _ string) {
			write(t, inRoot(in, "dev/x"), "")
			if err := unix.Mknod(inRoot(in, "dev/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))); err != nil {
				t.Fatal(err)
			}
		}, refused: "a different file exists"},
		"null-block": {image: func(t *testing.T, in *step.Input, _ string) {
			write(t, inRoot(in, "dev/x"), "")
			if err := unix.Mknod(inRoot(in, "dev/null"), unix.S_IFBLK|0o666, int(unix.Mkdev(1, 3))); err != nil {
				t.Fatal(err)
			}
		}, refused: "a different file exists"},
		"mask-link": {image: func(t *testing.T, in *step.Input, canary string) { link(t, canary+"/file", inRoot(in, "secret")) }, masked: []string{"/secret"}},
		"fd-link":   {image: linkTo("dev/fd")},
		"ptmx-link": {image: linkTo("dev/ptmx")},
	} {
		t.Run(name, func(t *testing.T) {
			steptest.In(t, steptest.Options{Network: true}, func(t *testing.T) {
				canary := t.TempDir()
				write(t, canary+"/file", "host")
				before, proc := stat(t, canary), open(t, "/proc")
				in := input(t, c.extra...)
				in.Bundle.Spec.Linux.MaskedPaths = c.masked
				if c.image != nil {
					c.image(t, in, canary)
				}
				steptest.Build(t, in, everything, func(b *step.Sandbox, err error) {
					at := strings.ReplaceAll(c.at, "CANARY", canary)
					switch {
					case c.refused == "" && err != nil:
						t.Error(err)
					case c.at != "" && !slices.ContainsFunc(steptest.Mounts(t, b), func(m steptest.MountPoint) bool { return m.Point == at }):
						t.Errorf("nothing is mounted on %s inside", at)
					case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
						t.Errorf("got %v", err)
					}
				})
				if after := stat(t, canary); after != before || read(t, canary+"/file") != "host" {
					t.Errorf("the canary changed: %+v", after)
				}
				for _, m := range steptest.Mounts(t, &step.Sandbox{Proc: proc}) {
					if strings.HasPrefix(m.Point, canary) {
						t.Errorf("mounted on the host: %+v", m)
					}
				}
			})
		})
	}
}

func linkTo(name string) func(*testing.T, *step.Input, string) {
	return func(t *testing.T, in *step.Input, canary string) { link(t, canary, inRoot(in, name)) }
}

func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	st.Atim = unix.Timespec{}
	return st
}

// A mask that cannot be made is an error: the file would be open.
func TestMaskNeedsTheRealNull(t *testing.T) {
	need.Root(t)
	steptest.In(t, steptest.Options{}, func(t *testing.T) {
		in := input(t)
		write(t, inRoot(in, "secret"), "")
		write(t, inRoot(in, "file"), "")
		write(t, inRoot(in, "dev/null"), "")
		in.Bundle.Spec.Linux.MaskedPaths = []string{"/secret"}
		parts := []steptest.Compile{Prepare, Pivot, MaskedPaths}
		steptest.Build(t, in, parts, func(_ *step.Sandbox, err error) {
			if err == nil || !strings.Contains(err.Error(), "cannot mask /secret") {
				t.Errorf("got %v", err)
			}
		})
		in.Bundle.Spec.Linux.MaskedPaths = []string{"/file/x"}
		steptest.Build(t, in, parts, func(_ *step.Sandbox, err error) {
			if !errors.Is(err, unix.ENOTDIR) {
				t.Errorf("got %v", err)
			}
		})
	})
}
