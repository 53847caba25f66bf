package tour

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func TestMountsInsideAreInvisibleOutside(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, lab.Capabilities("CAP_SYS_ADMIN"),
			lab.Check("mkdir", "/tmp/m", "--", "mount", "tmpfs", "/tmp/m", "tmpfs", "--", "write", "/tmp/m/secret", "x", "--", "echo", "up", "--", "sleep", "forever"))
		c := s.runtime.Launch(b)
		c.Says("up")
		if data, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(data), b.Dir) {
			t.Errorf("the host's mount table (%v) has mounts of the container", err)
		}
		if _, err := os.Lstat(filepath.Join(b.Rootfs, "tmp/m/secret")); !os.IsNotExist(err) {
			t.Errorf("the host sees the file in the container's mount: %v", err)
		}
		if entries, err := os.ReadDir(filepath.Join(b.Rootfs, "proc")); err != nil || len(entries) > 0 {
			t.Errorf("the host sees %d entries in rootfs/proc, %v", len(entries), err)
		}
	})
}

// A propagation mode, and in which directions mounts travel with it. From a user namespace
// nothing travels out.
type propagation struct {
	option  string
	in, out bool
}

func propagations() []propagation {
	return []propagation{
		{"rprivate", false, false},
		{"private", false, false},
		{"rslave", true, false},
		{"slave", true, false},
		{"rshared", true, true},
		{"shared", true, true},
		{"runbindable", false, false},
		{"unbindable", false, false},
	}
}

func TestPropagationOfMounts(t *testing.T) {
	for _, where := range []struct {
		name string
		make func(*testing.T) stance
		out  bool
	}{{"root", asRoot, true}, {"mapped", asRootMapped, false}} {
		for _, p := range propagations() {
			t.Run(where.name+"/"+p.option, func(t *testing.T) {
				volume := sharedVolume(t)
				s := where.make(t)
				t.Cleanup(func() { _ = unix.Unmount(filepath.Join(volume, "b"), unix.MNT_DETACH) })
				b := s.bundle(t, lab.Capabilities("CAP_SYS_ADMIN"), lab.Mount("/vol", "bind", volume, "rbind", p.option), rootPropagation(p),
					lab.Check("try-read", "/vol/a/marker", "--", "mount", "tmpfs", "/vol/b", "tmpfs", "--", "echo", "up", "--", "sleep", "forever"))
				c := s.runtime.Create(b)
				mountTmpfs(t, filepath.Join(volume, "a"))
				write(t, filepath.Join(volume, "a/marker"), "x")
				c.Start().Says("up")
				if in := c.Line(1) == "ok"; in != p.in {
					t.Errorf("a later mount of the host is seen inside: %v (%s), want %v", in, c.Line(1), p.in)
				}
				if out := isMount(t, filepath.Join(volume, "b")); out != (p.out && where.out) {
					t.Errorf("a mount made inside is seen outside: %v, want %v", out, p.out && where.out)
				}
			})
		}
	}
}

func TestPropagationOfRoot(t *testing.T) {
	for mode, want := range map[string]string{"private": "", "slave": "", "shared": "shared", "unbindable": "unbindable", "": ""} {
		t.Run("mode "+mode, func(t *testing.T) {
			volume := sharedVolume(t)
			s := asRoot(t)
			b := s.bundle(t, lab.Check("report", "mounts"), func(c *specs.Spec) { c.Linux.RootfsPropagation = mode })
			// The bundle moves to a mount that takes part in propagation.
			rootfs := filepath.Join(volume, "rootfs")
			if err := os.CopyFS(rootfs, os.DirFS(b.Rootfs)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(rootfs, "inside"), 0o755); err != nil {
				t.Fatal(err)
			}
			b.Edit(func(c *specs.Spec) { c.Root.Path = rootfs })
			root := s.runtime.Report(b).Mount("/")
			var got []string
			for _, p := range root.Propagation {
				kind, _, _ := strings.Cut(p, ":")
				got = append(got, kind)
			}
			switch {
			case mode == "" || mode == "slave":
				// Whether there is a master is the runtime's choice, but nothing may
				// travel back to the host.
				if slices.Contains(got, "shared") {
					t.Errorf("propagation of / is %q", root.Propagation)
				}
			case want == "" && len(got) > 0, want != "" && !slices.Contains(got, want):
				t.Errorf("propagation of / is %q, want %q", root.Propagation, want)
			}
		})
	}
}

// rootPropagation is what engines set with such a volume: the bind can share no more than
// the mounts that the container begins with.
func rootPropagation(p propagation) lab.Edit {
	mode := "private"
	switch {
	case p.out:
		mode = "shared"
	case p.in:
		mode = "slave"
	}
	return func(c *specs.Spec) { c.Linux.RootfsPropagation = mode }
}

// sharedVolume is a mount on the host whose later mounts propagate.
func sharedVolume(t *testing.T) string {
	t.Helper()
	need.Root(t)
	dir := lab.Dir(t)
	mountTmpfs(t, dir)
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// mountTmpfs mounts, and unmounts with all that is below when the test ends.
func mountTmpfs(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

func isMount(t *testing.T, path string) bool {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(data), " "+path+" ")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
