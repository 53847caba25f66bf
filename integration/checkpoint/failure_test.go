package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// A checkpoint that fails leaves the container as it was: what CRIU refuses, and what it
// cannot do when it has stopped everything already.
func TestFailedCheckpoint(t *testing.T) {
	r := bench(t)
	// An open file that has lost its name, but has another one.
	b := lab.NewBundle(t, lab.Args("/bin/sh", "-c", `exec 4>/tmp/a; busybox ln /tmp/a /tmp/b; busybox rm /tmp/a; `+counter)).Busybox()
	c := launch(t, r, b)
	c.numbers(2)
	images := lab.Dir(t)
	small := filepath.Join(lab.Dir(t), "small")
	must(t, os.Mkdir(small, 0o700))
	must(t, unix.Mount("tmpfs", small, "tmpfs", 0, "size=32k"))
	defer func() { must(t, unix.Unmount(small, unix.MNT_DETACH)) }()
	for want, flags := range map[string][]string{"link-remap": {images}, "No space left on device": {small, "--link-remap"}} {
		c.checkpoint(flags[0], append(flags[1:], "--work-path", images)...).
			Failed("cannot checkpoint container "+c.ID, want, "(log file: "+filepath.Join(images, "dump.log")+")")
		if s := c.state(); s.Status != "running" || s.Pid != c.Pid {
			t.Errorf("state %+v, pid was %d", s, c.Pid)
		}
		c.numbers(3)
	}
	c.checkpoint(images, "--link-remap").OK()
	restore(t, r, b, c.ID, images).numbers(2)
}

func TestStatus(t *testing.T) {
	r := bench(t)
	images := lab.Dir(t)
	b := counting(t)
	c := r.Create(b)
	r.Do("checkpoint", "--image-path", images, c.ID).Failed("container cannot be checkpointed in created state")
	c.Start()
	r.Do("restore", "--detach", "--bundle", b.Dir, "--image-path", images, c.ID).Failed("holds no checkpoint")
	c.Kill("KILL").OK()
	c.Wait()
	r.Do("checkpoint", "--image-path", images, c.ID).Failed("container cannot be checkpointed in stopped state")
	r.Do("checkpoint", "--image-path", images, "nobody").Failed("container does not exist")
	if names, _ := os.ReadDir(images); len(names) != 0 {
		t.Errorf("the folder holds %v", names)
	}
}

// Who takes an id that is taken leaves its owner alone.
func TestRestoreOverAnother(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(2)
	images := lab.Dir(t)
	c.checkpoint(images, "--leave-running").OK()
	r.Do("restore", "--detach", "--bundle", b.Dir, "--image-path", images, c.ID).Failed("container with given ID already exists")
	if s := c.state(); s.Status != "running" || s.Pid != c.Pid {
		t.Errorf("state %+v, pid was %d", s, c.Pid)
	}
}

// Whatever stands in the folder: an error that says so, and nothing is left.
func TestHostileImages(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(2)
	good := lab.Dir(t)
	c.checkpoint(good).OK()
	for name, row := range map[string]struct {
		do   func(dir string)
		want []string
	}{
		"missing": {func(dir string) { must(t, os.RemoveAll(dir)) }, []string{"--image-path: ", "no such file or directory"}},
		"empty": {func(dir string) {
			must(t, os.RemoveAll(dir))
			must(t, os.Mkdir(dir, 0o700))
		}, []string{"--image-path: ", "holds no checkpoint: inventory.img is missing"}},
		"a file": {func(dir string) {
			must(t, os.RemoveAll(dir))
			must(t, os.WriteFile(dir, nil, 0o600))
		}, []string{"--image-path: ", "must be a folder"}},
		"a link": {func(dir string) {
			must(t, os.Rename(dir, dir+".real"))
			must(t, os.Symlink(dir+".real", dir))
		}, []string{"--image-path: ", "must be a folder, and not a link to one"}},
		"garbage inventory": {func(dir string) { fill(t, dir, "inventory.img") }, []string{"restore.log"}},
		"garbage tree":      {func(dir string) { fill(t, dir, "pstree.img") }, []string{"restore.log"}},
		"garbage mounts":    {func(dir string) { fill(t, dir, "mountpoints-*.img") }, []string{"restore.log"}},
		"garbage memory":    {func(dir string) { fill(t, dir, "pagemap-*.img") }, []string{"restore.log"}},
		"all is garbage":    {func(dir string) { fill(t, dir, "*.img") }, []string{"restore.log"}},
		"cut tree":          {func(dir string) { cut(t, dir, "pstree.img") }, []string{"restore.log"}},
		"FIFO descriptors": {func(dir string) {
			must(t, os.Remove(filepath.Join(dir, "descriptors.json")))
			must(t, unix.Mkfifo(filepath.Join(dir, "descriptors.json"), 0o600))
		}, []string{"descriptors.json must be an ordinary, small file"}},
		"linked descriptors": {func(dir string) {
			must(t, os.Remove(filepath.Join(dir, "descriptors.json")))
			must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "descriptors.json")))
		}, []string{"cannot open descriptors.json"}},
		"garbage descriptors": {func(dir string) { fill(t, dir, "descriptors.json") }, []string{"--image-path: descriptors.json: "}},
		"paths as descriptors": {func(dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "descriptors.json"), []byte(`["/etc/passwd","mnt[/]:/","file[../../x]"]`), 0o600))
		}, []string{"restore.log"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(lab.Dir(t), "images")
			must(t, os.CopyFS(dir, os.DirFS(good)))
			row.do(dir)
			r.Fails([]string{"restore", "--detach", "--bundle", b.Dir, "--image-path", dir, "--work-path", lab.Dir(t), r.ID()}, row.want...)
			reap()
		})
	}
	restore(t, r, b, c.ID, good).numbers(2)
}

func each(t *testing.T, dir, pattern string, do func(name string, size int64)) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	if len(names) == 0 {
		t.Fatalf("no %s", pattern)
	}
	for _, name := range names {
		st, err := os.Stat(name)
		must(t, err)
		do(name, st.Size())
	}
}

// fill overwrites files.
func fill(t *testing.T, dir, pattern string) {
	t.Helper()
	each(t, dir, pattern, func(name string, size int64) {
		must(t, os.WriteFile(name, []byte(strings.Repeat("\xff\x00\x7f", int(size)/3+1)), 0o600))
	})
}

func cut(t *testing.T, dir, pattern string) {
	t.Helper()
	each(t, dir, pattern, func(name string, size int64) { must(t, os.Truncate(name, size/2)) })
}

// What config.json asks for and this host has not is an error before CRIU is asked.
func TestRestoreOfABadBundle(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(2)
	images := lab.Dir(t)
	c.checkpoint(images).OK()
	id := r.ID()
	command := []string{"restore", "--detach", "--bundle", b.Dir, "--image-path", images, id}
	b.Edit(lab.Namespace(specs.NetworkNamespace, "/nosuch"))
	r.Fails(command, "/nosuch")
	b.Edit(lab.Namespace(specs.NetworkNamespace, ""), func(s *specs.Spec) { s.Root.Path = "missing" })
	r.Fails(command, "missing")
	b.Edit(func(s *specs.Spec) { s.Root.Path = "rootfs" }, failingHook)
	r.Fails(command, "prestart hook")
	reap()
	r.NothingLeft()
}

func TestFlags(t *testing.T) {
	r := bench(t)
	c := launch(t, r, counting(t))
	c.numbers(1)
	dir := lab.Dir(t)
	for _, row := range []struct{ flags, want string }{
		{"--parent-path /abs", `--parent-path: "/abs" must be relative to --image-path`},
		{"--manage-cgroups-mode odd", `--manage-cgroups-mode: unknown "odd"`},
		{"--empty-ns mount", `--empty-ns: unknown namespace "mount"`},
		{"--network-lock tape", `--network-lock: unknown "tape"`},
		{"--page-server here", `--page-server: "here" must be ADDRESS:PORT`},
		{"--page-server here:0", `--page-server: "0" is not a port`},
		{"--status-fd 77", `--status-fd: descriptor 77 is not open`},
		{"--status-fd 1", `--status-fd: must be greater than 2`},
		{"--work-path /dev/full", `--work-path: "/dev/full" must be a folder`},
	} {
		res := c.checkpoint(dir, strings.Fields(row.flags)...)
		res.Stderr = strings.ReplaceAll(res.Stderr, `\"`, `"`)
		res.Failed(row.want)
	}
	if s := c.state(); s.Status != "running" {
		t.Errorf("state %+v", s)
	}
}
