package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/steptest"
)

func bind(from, to string, options ...string) specs.Mount {
	return specs.Mount{Destination: to, Type: "bind", Source: from, Options: append([]string{"bind"}, options...)}
}

// mounted makes a directory with a tmpfs on "sub" in it.
func mounted(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/file", "host")
	if err := os.Mkdir(dir+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir+"/sub", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for unix.Unmount(dir+"/sub", unix.MNT_DETACH) == nil { // whatever came on top, too
		}
	})
	return dir
}

func TestBindOptions(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		dir := mounted(t)
		in.Bundle.Spec.Mounts = []specs.Mount{
			bind(dir, "/plain"), bind(dir, "/ro", "ro", "nosuid"), bind(dir, "/rbind", "rbind", "ro"),
			bind(dir, "/rro", "rbind", "rro"), bind(dir, "/shared", "rbind", "rshared"), bind(dir, "/a/b/c", "private"),
			bind(dir+"/file", "/etc/hosts", "ro"), bind(dir+"/file", "/x/y/file"),
		}
	}, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		list := steptest.Mounts(t, b)
		for at, want := range map[string]string{
			"/plain": "rw", "/ro": "ro nosuid", "/rbind": "ro", "/rbind/sub": "rw", "/rro": "ro", "/rro/sub": "ro",
			"/etc/hosts": "ro", "/x/y/file": "rw", "/a/b/c": "rw",
		} {
			m := steptest.Find(t, list, at)
			for _, w := range strings.Fields(want) {
				if !m.Has(w) {
					t.Errorf("%s: no %s in %+v", at, w, m)
				}
			}
		}
		for _, at := range []string{"/shared", "/shared/sub"} {
			if m := steptest.Find(t, list, at); !strings.HasPrefix(m.Propagation, "shared:") {
				t.Errorf("%s: %+v", at, m)
			}
		}
		for _, m := range list {
			if m.Point == "/plain/sub" || m.Point == "/ro/sub" {
				t.Errorf("bind is recursive: %+v", m)
			}
		}
		if read(t, "/etc/hosts") != "host" || read(t, "/x/y/file") != "host" || read(t, "/a/b/c/file") != "host" {
			t.Error("files are not the host's")
		}
	})
}

// A bind of a shared mount must receive the host's later mounts only if asked, and never
// send the container's to the host.
func TestBindDoesNotReachTheHost(t *testing.T) {
	need.Root(t)
	for _, c := range []struct{ propagation, rootfs, want string }{
		{"", "", "master:"},
		{"rprivate", "", ""},
		{"rslave", "", "master:"},
		{"rshared", "", "shared:"},
		{"rshared", "rshared", "shared:"},
		{"", "rprivate", ""},
		{"slave", "rslave", "master:"},
	} {
		t.Run("bind-"+c.propagation+"-root-"+c.rootfs, func(t *testing.T) {
			steptest.In(t, steptest.Options{}, func(t *testing.T) {
				dir := mounted(t)
				if err := unix.Mount("", dir+"/sub", "", unix.MS_SHARED, ""); err != nil {
					t.Fatal(err)
				}
				in := input(t, bind(dir+"/sub", "/x", c.propagation))
				in.Bundle.Spec.Linux.RootfsPropagation = c.rootfs
				steptest.Build(t, in, everything, func(b *step.Sandbox, err error) {
					if err != nil {
						t.Fatal(err)
					}
					m := steptest.Find(t, steptest.Mounts(t, b), "/x")
					if c.want == "" && m.Propagation != "" || !strings.HasPrefix(m.Propagation, c.want) {
						t.Errorf("propagation %q", m.Propagation)
					}
					if err := unix.Mount("tmpfs", "/x", "tmpfs", 0, ""); err != nil {
						t.Fatal(err)
					}
				})
				host := steptest.Mounts(t, &step.Sandbox{Proc: open(t, "/proc")})
				n := 0
				for _, m := range host {
					if m.Point == dir+"/sub" {
						n++
					}
				}
				if reached := n > 1; reached != (c.rootfs == "rshared") {
					t.Errorf("%d mounts on the host: %v", n, host)
				}
			})
		})
	}
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestBindOfLinks(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		dir := t.TempDir()
		write(t, dir+"/file", "host")
		link(t, "file", dir+"/link")
		link(t, "/run/missing/resolv.conf", inRoot(in, "etc/resolv.conf"))
		link(t, "missing", inRoot(in, "nofollow"))
		link(t, "../outside", inRoot(in, "up"))
		in.Bundle.Spec.Mounts = []specs.Mount{
			bind(dir+"/link", "/followed"), bind(dir+"/link", "/copied", "copy-symlink"),
			bind(dir+"/file", "/etc/resolv.conf"), bind(dir+"/file", "/nofollow", "dest-nofollow"),
			bind(dir, "/up"), bind("../rel", "/rel"),
		}
		write(t, filepath.Join(in.Bundle.Dir, "../rel/file"), "relative")
	}, func(_ *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for at, want := range map[string]string{
			"/followed": "host", "/run/missing/resolv.conf": "host", "/etc/resolv.conf": "host", "/outside/file": "host",
			"/rel/file": "relative",
		} {
			if got := read(t, at); got != want {
				t.Errorf("%s: %q", at, got)
			}
		}
		if got, _ := os.Readlink("/copied"); got != "file" {
			t.Errorf("copy-symlink: %q", got)
		}
		if _, err := os.Stat("/missing"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("dest-nofollow was followed: %v", err)
		}
	})
}

func TestBindOfLinkItself(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		dir := t.TempDir()
		link(t, "/nowhere", dir+"/link")
		in.Bundle.Spec.Mounts = []specs.Mount{bind(dir+"/link", "/x", "src-nofollow")}
	}, func(_ *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink("/x"); got != "/nowhere" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestIDMappedMounts(t *testing.T) {
	same := func(host uint32) []specs.LinuxIDMapping {
		return []specs.LinuxIDMapping{{ContainerID: 0, HostID: host, Size: 1000}}
	}
	inContainer(t, func(in *step.Input) {
		dir := mounted(t)
		write(t, dir+"/sub/file", "")
		mapped := bind(dir, "/mapped")
		mapped.UIDMappings, mapped.GIDMappings = same(5000), same(6000)
		all := bind(dir, "/all", "rbind", "ridmap")
		all.UIDMappings, all.GIDMappings = same(5000), same(6000)
		top := bind(dir, "/top", "rbind", "idmap", "ro")
		top.UIDMappings, top.GIDMappings = same(5000), same(6000)
		in.Bundle.Spec.Mounts = []specs.Mount{mapped, all, top, bind(dir, "/word", "idmap=uids=0-7-10#10-50-3;gids=0-8-10")}
	}, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for at, want := range map[string]uint32{"/mapped/file": 5000, "/all/file": 5000, "/all/sub/file": 5000, "/top/file": 5000, "/top/sub/file": 0, "/word/file": 7} {
			var st unix.Stat_t
			if err := unix.Stat(at, &st); err != nil || st.Uid != want {
				t.Errorf("%s: owner %d, %v", at, st.Uid, err)
			}
		}
		if m := steptest.Find(t, steptest.Mounts(t, b), "/top"); !m.Has("ro") {
			t.Errorf("%+v", m)
		}
	})
}

// What the kernel does not let ocirt open on the host, the builder opens.
func TestBindInUserNamespaceOpenedByBuilder(t *testing.T) {
	need.UserNamespaces(t)
	steptest.In(t, steptest.Options{User: true}, func(t *testing.T) {
		dir := mounted(t)
		in := input(t)
		m, err := compileMount(in, 0, bind(dir, "/x", "rbind", "ro"))
		if err != nil {
			t.Fatal(err)
		}
		part := func(_ *step.Input, emit step.Emit) error {
			emit("", unopened{m.(AttachTree)})
			return nil
		}
		steptest.Build(t, in, []steptest.Compile{Prepare, part, Pivot}, func(b *step.Sandbox, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if m := steptest.Find(t, steptest.Mounts(t, b), "/x"); !m.Has("ro") {
				t.Errorf("%+v", m)
			}
		})
	})
}

// unopened hides that the step is an Opener.
type unopened struct{ tree AttachTree }

func (u unopened) String() string           { return u.tree.String() }
func (u unopened) Do(b *step.Sandbox) error { return u.tree.Do(b) }
