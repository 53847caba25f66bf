package checkpoint

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// mountsOf are the mounts of a process, without what is another number each time, sorted.
func mountsOf(t *testing.T, pid int) (list []string) {
	t.Helper()
	for line := range strings.Lines(read(t, "/proc/"+itoa(pid)+"/mountinfo")) {
		f := strings.Fields(line)
		n := slices.Index(f, "-")
		list = append(list, strings.Join([]string{f[3], f[4], f[5], f[n+1]}, " "))
	}
	slices.Sort(list)
	return list
}

// All mounts come back as they were: binds with what is mounted below them, masks, and
// read-only ones read-only.
func TestMounts(t *testing.T) {
	r := bench(t)
	host := lab.Dir(t)
	for _, d := range []string{"ro", "rw", "tree/below", "odd ] name,x\n"} {
		must(t, os.MkdirAll(filepath.Join(host, d), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(host, "file"), []byte("from the host"), 0o644))
	must(t, unix.Mount("tmpfs", filepath.Join(host, "tree/below"), "tmpfs", 0, "size=1m"))
	defer func() { must(t, unix.Unmount(filepath.Join(host, "tree/below"), unix.MNT_DETACH)) }()
	b := counting(t,
		lab.Mount("/ro", "bind", filepath.Join(host, "ro"), "bind", "ro"),
		lab.Mount("/rw", "bind", filepath.Join(host, "rw"), "bind"),
		lab.Mount("/tree", "bind", filepath.Join(host, "tree"), "rbind"),
		lab.Mount("/a/file", "bind", filepath.Join(host, "file"), "bind", "ro", "noexec"),
		lab.Mount("/odd ] place", "bind", filepath.Join(host, "odd ] name,x\n"), "bind"),
		lab.Mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev"),
		lab.Mount("/scratch", "tmpfs", "tmpfs", "size=1m"))
	c := launch(t, r, b)
	c.numbers(2)
	r.Do("exec", c.ID, "/inside", "touch", "/rw/mark").OK()
	r.Do("exec", c.ID, "/inside", "touch", "/scratch/mark").OK()
	before := mountsOf(t, c.Pid)
	images := lab.Dir(t)
	c.checkpoint(images).OK()
	for name := range keys(t, images) {
		if !strings.HasPrefix(name, "ocirt-") {
			t.Errorf("a key in the images is %q", name)
		}
	}
	again := restore(t, r, b, c.ID, images)
	again.numbers(2)
	if after := mountsOf(t, again.Pid); !slices.Equal(before, after) {
		t.Errorf("mounts were\n%s\nand are\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	for _, name := range []string{"/rw/mark", "/scratch/mark"} {
		r.Do("exec", c.ID, "/inside", "stat", name).OK()
	}
	if out := r.Do("exec", c.ID, "/inside", "try-write", "/ro/x", "--", "try-write", "/a/file").OK().Stdout; strings.Contains(out, "ok") {
		t.Errorf("what is read-only can be written: %s", out)
	}
}

// keys are the texts in the images that stand for mounts of the host.
func keys(t *testing.T, images string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	each(t, images, "mountpoints-*.img", func(name string, _ int64) {
		for _, key := range regexp.MustCompile(`(/|ocirt-)[a-z]+-[0-9a-f]{32}`).FindAllString(read(t, name), -1) {
			found[key] = true
		}
	})
	if len(found) < 5 {
		t.Errorf("only %d keys in the images: %v", len(found), found)
	}
	return found
}

// On restore the files of the host come from config.json, wherever they were before.
func TestSourceComesFromTheBundle(t *testing.T) {
	r := bench(t)
	one, two := lab.Dir(t), lab.Dir(t)
	must(t, os.WriteFile(filepath.Join(one, "one"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(two, "two"), nil, 0o644))
	b := counting(t, lab.Mount("/data", "bind", one, "bind", "ro"))
	c := launch(t, r, b)
	c.numbers(2)
	images := lab.Dir(t)
	c.checkpoint(images).OK()
	b.Edit(func(s *specs.Spec) { s.Mounts[len(s.Mounts)-1].Source = two })
	restore(t, r, b, c.ID, images).numbers(1)
	r.Do("exec", c.ID, "/inside", "stat", "/data/two").OK()
	if res := r.Do("exec", c.ID, "/inside", "stat", "/data/one"); res.Code == 0 {
		t.Error("the old folder is there")
	}
}

// A container that could remount what is read-only does not get it writable by being
// restored (CVE-2026-119101).
func TestReadOnlyStaysReadOnly(t *testing.T) {
	r := bench(t)
	b := counting(t, lab.Capabilities("CAP_SYS_ADMIN"), lab.Mount("/data", "bind", lab.Dir(t), "bind", "ro"))
	c := launch(t, r, b)
	c.numbers(2)
	r.Do("exec", c.ID, "/bin/busybox", "mount", "-o", "remount,bind,rw", "/data").OK()
	images := lab.Dir(t)
	c.checkpoint(images).OK()
	r.Fails([]string{"restore", "--detach", "--bundle", b.Dir, "--image-path", images, c.ID},
		"would be writable, and config.json has it read-only")
	reap()
	b.Edit(func(s *specs.Spec) { s.Mounts[len(s.Mounts)-1].Options = []string{"bind"} })
	restore(t, r, b, c.ID, images).numbers(1)
}

// A name that could be taken for the end of a key is refused.
func TestMountPointLikeAKey(t *testing.T) {
	r := bench(t)
	for _, place := range []string{"/x]:/etc", "/link"} {
		b := counting(t, lab.Mount(place, "bind", lab.Dir(t), "bind"))
		if place == "/link" {
			must(t, os.MkdirAll(filepath.Join(b.Rootfs, "x]:/etc"), 0o755))
			must(t, os.Symlink("x]:/etc", filepath.Join(b.Rootfs, "link")))
		}
		c := launch(t, r, b)
		c.numbers(1)
		c.checkpoint(lab.Dir(t)).Failed("its name holds", "]:")
		if s := c.state(); s.Status != "running" {
			t.Errorf("state %+v", s)
		}
	}
}

// Destinations that go through links of the image are found where they led.
func TestLinkedDestination(t *testing.T) {
	r := bench(t)
	host := lab.Dir(t)
	b := counting(t, lab.Mount("/link/data", "bind", host, "bind"))
	must(t, os.MkdirAll(filepath.Join(b.Rootfs, "real, place"), 0o755))
	must(t, os.Symlink("real, place", filepath.Join(b.Rootfs, "link")))
	c := launch(t, r, b)
	c.numbers(1)
	images := lab.Dir(t)
	c.checkpoint(images).OK()
	restore(t, r, b, c.ID, images).numbers(1)
	r.Do("exec", c.ID, "/inside", "touch", "/real, place/data/mark").OK()
	if _, err := os.Stat(filepath.Join(host, "mark")); err != nil {
		t.Error(err)
	}
}

// A container that had a socket of its service manager can be restored where there is none.
func TestNotifySocket(t *testing.T) {
	r := bench(t)
	manager := filepath.Join(lab.Dir(t), "manager")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: manager}))
	b := counting(t)
	id := r.ID()
	piped := func(args ...string) {
		t.Helper()
		cmd, out := r.Command(append(args, "--bundle", b.Dir, id)...), &sink{}
		cmd.Stdout, cmd.Stderr = out.open(t), out.open(t)
		res := r.Finish(cmd)
		cmd.Stdout.(*os.File).Close()
		cmd.Stderr.(*os.File).Close()
		if res.Code != 0 {
			t.Fatalf("%v%s", res, out.text())
		}
	}
	without := r.Env
	r.Env = append(slices.Clone(without), "NOTIFY_SOCKET="+manager)
	piped("create")
	r.Env = without
	r.Do("start", id).OK()
	images := lab.Dir(t)
	r.Do("checkpoint", "--image-path", images, id).OK()
	reap()
	piped("restore", "--detach", "--image-path", images)
	r.Do("exec", id, "/inside", "stat", "/run/notify").OK()
}
