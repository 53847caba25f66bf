package lab

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// A Bundle is a bundle on disk. Its Spec can be changed until the next Write.
type Bundle struct {
	Dir    string
	Rootfs string
	Spec   *specs.Spec
	t      testing.TB
}

// An Edit changes a configuration.
type Edit func(*specs.Spec)

// NewBundle makes a bundle whose root file system has the checker as /inside and nothing
// else but mount points, and writes its configuration. The folder belongs to the test's
// user and is readable by all.
func NewBundle(t testing.TB, edits ...Edit) *Bundle {
	t.Helper()
	b := &Bundle{Dir: Dir(t), Spec: DefaultSpec(), t: t}
	b.Rootfs = filepath.Join(b.Dir, "rootfs")
	for _, d := range []string{"", "dev", "proc", "sys", "tmp", "etc", "bin"} {
		must(t, os.Mkdir(filepath.Join(b.Rootfs, d), 0o755))
	}
	must(t, os.Chmod(filepath.Join(b.Rootfs, "tmp"), 0o1777))
	shareProgram(t, theBench.inside, filepath.Join(b.Rootfs, "inside"))
	b.Edit(edits...)
	return b
}

// Edit changes the configuration and writes it.
func (b *Bundle) Edit(edits ...Edit) {
	b.t.Helper()
	for _, e := range edits {
		e(b.Spec)
	}
	data, err := json.MarshalIndent(b.Spec, "", "  ")
	must(b.t, err)
	must(b.t, os.WriteFile(filepath.Join(b.Dir, "config.json"), data, 0o644))
}

// Busybox puts a static busybox into the root file system, as /bin/busybox and /bin/sh.
func (b *Bundle) Busybox() *Bundle {
	b.t.Helper()
	need.Feature(b.t, "busybox", theBench.busybox != "", "no busybox in PATH")
	shareProgram(b.t, theBench.busybox, filepath.Join(b.Rootfs, "bin/busybox"))
	must(b.t, os.Symlink("busybox", filepath.Join(b.Rootfs, "bin/sh")))
	return b
}

// Chown gives the whole bundle to somebody, but for programs that bundles share.
func (b *Bundle) Chown(uid, gid int) *Bundle {
	b.t.Helper()
	must(b.t, filepath.WalkDir(b.Dir, func(path string, d os.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if err != nil || !d.IsDir() && st.Nlink > 1 {
			return err
		}
		return os.Lchown(path, uid, gid)
	}))
	return b
}

// File writes a file of the root file system.
func (b *Bundle) File(name, text string, mode os.FileMode) {
	b.t.Helper()
	path := filepath.Join(b.Rootfs, name)
	must(b.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(b.t, os.WriteFile(path, []byte(text), mode))
	must(b.t, os.Chmod(path, mode))
}

// Dir makes a folder that goes with the test and, unlike t.TempDir's, can be entered by
// every user.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ocirt-lab-") //nolint:usetesting // every user may enter it
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// Inside is the path of the checker on the host.
func Inside() string { return theBench.inside }

// shareProgram makes a link to a program, or a copy. What runs from one place in the page
// cache need not be translated again by an emulated processor, and that is half of the time
// there.
func shareProgram(t testing.TB, from, to string) {
	t.Helper()
	if os.Link(from, to) != nil {
		must(t, copyFile(from, to))
	}
}

// copyFile makes a copy that everybody may execute.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(0o755), out.Close())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// DefaultSpec is what engines ask for, without limits: new namespaces but for user and
// time, the usual mounts, three capabilities.
func DefaultSpec() *specs.Spec {
	caps := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}
	mount := func(to, kind string, options ...string) specs.Mount {
		return specs.Mount{Destination: to, Type: kind, Source: kind, Options: options}
	}
	return &specs.Spec{
		Version: "1.0.2",
		Process: &specs.Process{
			Args: []string{"/inside", "report"}, Env: []string{"PATH=/bin:/"}, Cwd: "/",
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		},
		Root:     &specs.Root{Path: "rootfs"},
		Hostname: "inside",
		Mounts: []specs.Mount{
			mount("/proc", "proc"),
			mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
			mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
			mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
			mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
			mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: "pid"}, {Type: "network"}, {Type: "ipc"}, {Type: "uts"}, {Type: "mount"}, {Type: "cgroup"},
			},
			MaskedPaths:   []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// Args sets what the container executes.
func Args(args ...string) Edit {
	return func(s *specs.Spec) { s.Process.Args = args }
}

// Check makes the container execute the checker with these arguments.
func Check(args ...string) Edit { return Args(append([]string{"/inside"}, args...)...) }

// Namespace makes or, with a path, joins a namespace, instead of what was said of its kind.
func Namespace(kind specs.LinuxNamespaceType, path string) Edit {
	return func(s *specs.Spec) {
		Without(kind)(s)
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
	}
}

// Without leaves kinds of namespaces out, and a host name that needs one of them.
func Without(kinds ...specs.LinuxNamespaceType) Edit {
	return func(s *specs.Spec) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
			return slices.Contains(kinds, n.Type)
		})
		if slices.Contains(kinds, specs.UTSNamespace) {
			s.Hostname, s.Domainname = "", ""
		}
	}
}

// UserNamespace makes a user namespace with one map, the same for users and groups.
func UserNamespace(inside, outside, size uint32) Edit {
	return func(s *specs.Spec) {
		Namespace(specs.UserNamespace, "")(s)
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: inside, HostID: outside, Size: size}}
		s.Linux.GIDMappings = slices.Clone(s.Linux.UIDMappings)
	}
}

// Capabilities puts these into all five sets.
func Capabilities(caps ...string) Edit {
	return func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{
			Bounding: caps, Effective: caps, Permitted: caps, Inheritable: caps, Ambient: caps,
		}
	}
}

// Mount adds a mount.
func Mount(to, kind, source string, options ...string) Edit {
	return func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: to, Type: kind, Source: source, Options: options})
	}
}
