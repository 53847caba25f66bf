package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/steptest"
	"github.com/ocirt/ocirt/spec"
)

// everything is all parts, in the order of the plan.
var everything = []steptest.Compile{Prepare, Mounts, Devices, Pivot, ReadOnly, MaskedPaths, ReadonlyPaths}

// usual are the mounts that engines ask for.
func usual() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc"},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
	}
}

// input is a bundle in a fresh directory, whose root is empty.
func input(t *testing.T, mounts ...specs.Mount) *step.Input {
	t.Helper()
	dir := t.TempDir()
	// Other users of a user namespace must be able to go there.
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &specs.Spec{Root: &specs.Root{Path: "rootfs"}, Mounts: mounts, Linux: &specs.Linux{
		Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}},
	}}
	return &step.Input{ID: "test", Bundle: &spec.Bundle{Dir: dir, Spec: s}}
}

// inRoot is a file in the root of the bundle.
func inRoot(in *step.Input, name string) string {
	return filepath.Join(in.Bundle.Dir, "rootfs", name)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// usualInput is a bundle as engines make it.
func usualInput(t *testing.T) *step.Input {
	t.Helper()
	in := input(t, usual()...)
	in.Bundle.Spec.Root.Readonly = true
	in.Bundle.Spec.Linux.MaskedPaths = []string{"/proc/acpi", "/proc/keys", "/proc/kcore", "/proc/timer_list", "/sys/firmware", "/proc/scsi", "/nothing"}
	in.Bundle.Spec.Linux.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/nothing"}
	return in
}

func TestUsualContainer(t *testing.T) {
	need.Root(t)
	steptest.In(t, steptest.Options{Network: true}, func(t *testing.T) {
		in := usualInput(t)
		steptest.Build(t, in, everything, func(b *step.Sandbox, err error) {
			if err != nil {
				t.Fatal(err)
			}
			checkUsual(t, b)
		})
	})
}

func checkUsual(t *testing.T, b *step.Sandbox) {
	list := steptest.Mounts(t, b)
	for point, want := range map[string]string{
		"/": "ro", "/proc": "proc", "/dev": "tmpfs nosuid", "/dev/pts": "devpts nosuid noexec", "/dev/shm": "tmpfs nosuid noexec nodev",
		"/dev/mqueue": "mqueue nosuid", "/sys": "sysfs ro nosuid", "/proc/sys": "proc ro", "/proc/keys": "",
		"/sys/firmware": "tmpfs ro",
	} {
		m := steptest.Find(t, list, point)
		for _, w := range strings.Fields(want) {
			if m.Type != w && !m.Has(w) {
				t.Errorf("%s: no %s in %+v", point, w, m)
			}
		}
		if m.Propagation != "" {
			t.Errorf("%s: propagation %q", point, m.Propagation)
		}
	}
	if a, b := steptest.Find(t, list, "/proc/acpi"), steptest.Find(t, list, "/sys/firmware"); a.Device != b.Device {
		t.Errorf("masks are file systems of their own: %+v, %+v", a, b)
	}
	if err := os.WriteFile("/x", nil, 0o600); err == nil {
		t.Error("the root is writable")
	}
	if err := os.WriteFile("/dev/null", []byte("x"), 0); err != nil {
		t.Error(err)
	}
	if b := read(t, "/proc/keys"); b != "" {
		t.Error("/proc/keys is not masked")
	}
	for name, want := range map[string]string{"fd": "/proc/self/fd", "ptmx": "pts/ptmx", "stdin": "/proc/self/fd/0"} {
		if got, err := os.Readlink("/dev/" + name); got != want {
			t.Errorf("/dev/%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		st, err := os.Stat("/dev/" + name)
		if err != nil || st.Mode() != os.ModeDevice|os.ModeCharDevice|0o666 {
			t.Errorf("/dev/%s: %v, %v", name, st, err)
		}
	}
	if fi, err := os.Stat("/dev/shm"); err != nil || fi.Mode()&0o777 != 0o777 {
		t.Errorf("/dev/shm: %v, %v", fi, err)
	}
}
