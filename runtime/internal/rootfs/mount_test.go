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
)

// inContainer builds a container with these mounts and lets look at it from inside.
func inContainer(t *testing.T, prepare func(in *step.Input), look func(b *step.Sandbox, err error)) {
	t.Helper()
	need.Root(t)
	steptest.In(t, steptest.Options{Network: true}, func(t *testing.T) {
		in := input(t)
		prepare(in)
		steptest.Build(t, in, everything, look)
	})
}

func tmpfs(at string, options ...string) specs.Mount {
	return specs.Mount{Destination: at, Type: "tmpfs", Source: "tmpfs", Options: options}
}

func TestMountAttributes(t *testing.T) {
	words := map[string]string{
		"nosuid": "nosuid", "nodev": "nodev", "noexec": "noexec", "noatime": "noatime", "nodiratime": "nodiratime",
		"relatime": "relatime", "ro": "ro", "nosymfollow": "nosymfollow", "rro": "ro", "rnosuid": "nosuid", "rnoatime": "noatime",
	}
	inContainer(t, func(in *step.Input) {
		for w := range words {
			in.Bundle.Spec.Mounts = append(in.Bundle.Spec.Mounts, tmpfs("/"+w, w))
		}
		in.Bundle.Spec.Mounts = append(in.Bundle.Spec.Mounts, tmpfs("/strict", "strictatime"), tmpfs("/defaults", "defaults"),
			tmpfs("/super", "sync", "dirsync"))
	}, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		list := steptest.Mounts(t, b)
		for w, want := range words {
			if m := steptest.Find(t, list, "/"+w); !m.Has(want) {
				t.Errorf("%s: %+v", w, m)
			}
		}
		if m := steptest.Find(t, list, "/strict"); m.Has("relatime") || m.Has("noatime") {
			t.Errorf("strictatime: %+v", m)
		}
		if m := steptest.Find(t, list, "/super"); !slices.Contains(m.Super, "sync") || !slices.Contains(m.Super, "dirsync") {
			t.Errorf("sync, dirsync: %+v", m)
		}
	})
}

func TestMountPropagation(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		in.Bundle.Spec.Mounts = []specs.Mount{
			tmpfs("/shared", "rshared"), tmpfs("/private", "shared", "private"), tmpfs("/unbindable", "unbindable"),
			tmpfs("/both", "shared", "slave", "shared"),
		}
	}, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		list := steptest.Mounts(t, b)
		for at, want := range map[string]string{"/shared": "shared:", "/unbindable": "unbindable", "/both": "shared:"} {
			if m := steptest.Find(t, list, at); !strings.HasPrefix(m.Propagation, want) {
				t.Errorf("%s: %q", at, m.Propagation)
			}
		}
		if m := steptest.Find(t, list, "/private"); m.Propagation != "" {
			t.Errorf("/private: %q", m.Propagation)
		}
	})
}

func TestTmpfsTakesModeOfDirectory(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		if err := os.Mkdir(inRoot(in, "tmp"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(inRoot(in, "tmp"), 0o700|os.ModeSticky); err != nil {
			t.Fatal(err)
		}
		in.Bundle.Spec.Mounts = []specs.Mount{tmpfs("/tmp"), tmpfs("/run", "mode=711"), tmpfs("/a/b/c")}
	}, func(_ *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for at, want := range map[string]os.FileMode{"/tmp": 0o700 | os.ModeSticky, "/run": 0o711, "/a/b/c": 0o755, "/a": 0o755} {
			if st, err := os.Stat(at); err != nil || st.Mode() != want|os.ModeDir {
				t.Errorf("%s: %v, %v", at, st.Mode(), err)
			}
		}
	})
}

func TestReadOnlyMountsGetTheirPlacesFirst(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		in.Bundle.Spec.Mounts = []specs.Mount{
			tmpfs("/dev", "ro", "mode=755"), tmpfs("/a", "ro"), tmpfs("/a/b"), tmpfs("/c", "ro"),
		}
	}, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{"/dev", "/a", "/c"} {
			if m := steptest.Find(t, steptest.Mounts(t, b), at); !m.Has("ro") {
				t.Errorf("%s: %+v", at, m)
			}
		}
		if err := os.WriteFile("/a/b/x", nil, 0o600); err != nil {
			t.Error(err)
		}
	})
}

func TestMountCopyUp(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		write(t, inRoot(in, "etc/x/file"), "text")
		link(t, "/etc/passwd", inRoot(in, "etc/x/link"))
		if err := os.Lchown(inRoot(in, "etc/x/file"), 7, 8); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(inRoot(in, "etc/x/fifo"), 0o640); err != nil {
			t.Fatal(err)
		}
		in.Bundle.Spec.Mounts = []specs.Mount{tmpfs("/etc", "tmpcopyup", "ro", "size=1m")}
	}, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, "/etc/x/file"); got != "text" {
			t.Errorf("file: %q", got)
		}
		var st unix.Stat_t
		if err := unix.Lstat("/etc/x/file", &st); err != nil || st.Uid != 7 || st.Gid != 8 || st.Mode&0o777 != 0o644 {
			t.Errorf("file: %+v, %v", st, err)
		}
		if got, _ := os.Readlink("/etc/x/link"); got != "/etc/passwd" {
			t.Errorf("link: %q", got)
		}
		if st, err := os.Lstat("/etc/x/fifo"); err != nil || st.Mode() != os.ModeNamedPipe|0o640 {
			t.Errorf("fifo: %v, %v", st, err)
		}
		if m := steptest.Find(t, steptest.Mounts(t, b), "/etc"); !m.Has("ro") || m.Type != "tmpfs" {
			t.Errorf("%+v", m)
		}
	})
}

func TestMountErrors(t *testing.T) {
	need.Root(t)
	for name, c := range map[string]struct {
		mount specs.Mount
		words string
		errno error
	}{
		"unknown type":     {specs.Mount{Destination: "/x", Type: "nopefs"}, `unknown file system "nopefs"`, unix.ENODEV},
		"unknown option":   {tmpfs("/x", "nope"), "nope", unix.EINVAL},
		"bad size":         {tmpfs("/x", "size=many"), "size", unix.EINVAL},
		"root":             {tmpfs("/"), "root", nil},
		"inside proc":      {tmpfs("/proc/sys"), "inside /proc", nil},
		"on proc":          {tmpfs("/proc"), "not of type proc", nil},
		"bind on proc":     {specs.Mount{Destination: "/proc", Type: "bind", Source: "/usr", Options: []string{"bind"}}, "not of type proc", nil},
		"bind nothing":     {specs.Mount{Destination: "/x", Source: "/does/not/exist", Options: []string{"bind"}}, "no such file", unix.ENOENT},
		"idmap no maps":    {specs.Mount{Destination: "/x", Source: "/usr", Options: []string{"bind", "idmap"}}, "required with idmap", nil},
		"dir on file":      {specs.Mount{Destination: "/file", Source: "/usr", Options: []string{"bind"}}, "not a directory", unix.ENOTDIR},
		"below a file":     {tmpfs("/file/x"), "not a directory", unix.ENOTDIR},
		"loop":             {tmpfs("/loop"), "too many levels", unix.ELOOP},
		"long data":        {tmpfs("/x", "size="+strings.Repeat("1", 5000)), "longer than a page", nil},
		"in read-only":     {tmpfs("/ro/x"), "does not exist in a read-only mount", unix.EROFS},
		"copy up of devpt": {specs.Mount{Destination: "/x", Type: "devpts", Options: []string{"tmpcopyup"}}, "tmpcopyup", nil},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			steptest.In(t, steptest.Options{}, func(t *testing.T) {
				in := input(t, c.mount)
				write(t, inRoot(in, "file"), "")
				link(t, "loop", inRoot(in, "loop"))
				in.Bundle.Spec.Mounts = append([]specs.Mount{bind("/usr", "/ro", "ro")}, in.Bundle.Spec.Mounts...)
				steptest.Build(t, in, everything, func(_ *step.Sandbox, err error) {
					if err == nil || !strings.Contains(err.Error(), c.words) || c.errno != nil && !errors.Is(err, c.errno) {
						t.Errorf("got %v", err)
					}
				})
			})
		})
	}
}

func TestRemount(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		in.Bundle.Spec.Mounts = []specs.Mount{
			tmpfs("/x", "nosuid"), {Destination: "/x", Type: "tmpfs", Options: []string{"remount", "ro", "noexec", "size=64k"}},
		}
	}, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		m := steptest.Find(t, steptest.Mounts(t, b), "/x")
		if !m.Has("ro") || !m.Has("noexec") || !m.Has("nosuid") || !slices.Contains(m.Super, "size=64k") {
			t.Errorf("%+v", m)
		}
	})
}

func TestOverlayWithLongLowerDirectories(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		var lower []string
		for range 8 {
			dir := t.TempDir()
			lower = append(lower, dir)
			write(t, dir+"/file", "text")
		}
		in.Bundle.Spec.Mounts = []specs.Mount{{Destination: "/x", Type: "overlay", Source: "overlay", Options: []string{
			"ro", "nodev", "lowerdir=" + strings.Join(lower, ":"), "rshared",
		}}}
	}, func(b *step.Sandbox, err error) {
		if errors.Is(err, unix.ENODEV) {
			t.Skip("the kernel has no overlay file system")
		}
		if err != nil {
			t.Fatal(err)
		}
		m := steptest.Find(t, steptest.Mounts(t, b), "/x")
		if !m.Has("nodev") || !m.Has("ro") || !strings.HasPrefix(m.Propagation, "shared") || read(t, "/x/file") != "text" {
			t.Errorf("%+v", m)
		}
	})
}
