package crash

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// onTmpfs puts the state directory onto a file system of its own.
func onTmpfs(t *testing.T, a *arena, options string) {
	t.Helper()
	root := a.r.Root
	must(t, unix.Mount("tmpfs", root, "tmpfs", 0, "mode=0711,"+options))
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	a.mounts = read("/proc/self/mountinfo")
}

// attempt creates a container, deletes it and fails the test unless both work, or the first
// says words and leaves nothing. It tells whether it worked.
func (a *arena) attempt(what string, words ...string) bool {
	a.t.Helper()
	res := a.r.Do("create", "--bundle", a.b.Dir, a.id)
	if res.Code != 0 && (res.Code != 1 || !says(res, words)) {
		a.t.Errorf("%s: want one of %q: %v", what, words, res)
	}
	if res.Code != 0 {
		if left := a.left(); len(left) > 0 {
			a.t.Errorf("%s: the error left %q", what, left)
		}
	}
	if wrong := a.settle(); len(wrong) > 0 {
		a.t.Errorf("%s: %q", what, wrong)
		a.sweep()
	}
	return res.Code == 0
}

// F-18: the file system of the state directory is full, up to each byte.
func TestDiskFull(t *testing.T) {
	need.Root(t)
	a := newArena(t)
	onTmpfs(t, a, "size=64k")
	worked := 0
	for free := range 17 {
		fill(t, a.r.Root, 16-free)
		if a.attempt(fmt.Sprintf("%d pages free", free), "no space left on device") {
			worked++
		}
		must(t, os.Remove(filepath.Join(a.r.Root, filler)))
	}
	if worked == 0 || worked == 17 {
		t.Errorf("%d of 17 attempts worked", worked)
	}
	// Deleting needs no space.
	a.r.Do("create", "--bundle", a.b.Dir, a.id).OK()
	fill(t, a.r.Root, 16)
	a.r.Do("start", a.id).OK()
	if wrong := a.settle(); len(wrong) > 0 {
		t.Errorf("on a full disk: %q", wrong)
	}
	must(t, os.Remove(filepath.Join(a.r.Root, filler)))
}

// filler is a file that is no container.
const filler = "filler"

// fill takes pages of the file system, as far as there are.
func fill(t *testing.T, dir string, pages int) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, filler))
	must(t, err)
	defer f.Close()
	for range pages {
		if _, err := f.Write(make([]byte, os.Getpagesize())); err != nil {
			return
		}
	}
}

// F-20: no more inodes.
func TestInodesExhausted(t *testing.T) {
	need.Root(t)
	a := newArena(t)
	worked := 0
	for inodes := 2; inodes <= 12; inodes++ {
		onTmpfs(t, a, fmt.Sprintf("nr_inodes=%d", inodes))
		if a.attempt(fmt.Sprintf("%d inodes", inodes), "no space left on device") {
			worked++
		}
		must(t, unix.Unmount(a.r.Root, 0))
	}
	if worked == 0 || worked == 11 {
		t.Errorf("%d of 11 attempts worked", worked)
	}
}

// F-19: state directories that cannot be used.
func TestUnusableRoot(t *testing.T) {
	need.Root(t)
	a := newArena(t)
	onTmpfs(t, a, "")
	must(t, unix.Mount("", a.r.Root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	a.mounts = read("/proc/self/mountinfo")
	if a.attempt("read-only", "read-only file system") {
		t.Errorf("a container in a read-only state directory")
	}
	dir := lab.Dir(t)
	file, link, open := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "open")
	must(t, os.WriteFile(file, nil, 0o600), os.Symlink(dir, link), os.Mkdir(open, 0o700), os.Chmod(open, 0o777))
	for root, word := range map[string]string{
		file: "--root", link: "not a symbolic link", open: "writable by others", file + "/below": "--root",
	} {
		a.r.Root = root
		for _, args := range [][]string{{"create", "--bundle", a.b.Dir, a.id}, {"list"}} {
			a.r.Do(args...).Failed("--root", word)
		}
	}
	a.r.Root = filepath.Join(dir, "missing/and/more")
	a.r.Do("list").Failed("--root")
	a.r.Do("delete", "--force", a.id).OK()
	if !a.attempt("missing") {
		t.Errorf("a missing state directory is not made")
	}
}

// F-49, F-50: odd things where the pid file is to be.
func TestPidFile(t *testing.T) {
	need.Root(t)
	a := newArena(t)
	dir := lab.Dir(t)
	canary, link, fifo := filepath.Join(dir, "canary"), filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	must(t, os.WriteFile(canary, []byte("alive"), 0o600), os.Symlink(canary, link), unix.Mkfifo(fifo, 0o600))
	stale := filepath.Join(dir, ".pid")
	must(t, os.WriteFile(stale, []byte("1"), 0o600))
	for _, path := range []string{link, fifo, filepath.Join(dir, "pid")} {
		a.r.Do("create", "--bundle", a.b.Dir, "--pid-file", path, a.id).OK()
		if st, err := os.Lstat(path); err != nil || !st.Mode().IsRegular() {
			t.Errorf("%s: %v, %v", path, st, err)
		}
		if wrong := a.settle(); len(wrong) > 0 {
			t.Errorf("%s: %q", path, wrong)
		}
	}
	if read(canary) != "alive" {
		t.Errorf("the canary says %q", read(canary))
	}
	null := filepath.Join(dir, "null") // stands for /dev/null, which must not be put at risk
	must(t, unix.Mknod(null, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	for _, path := range []string{filepath.Join(dir, "missing/pid"), filepath.Join(canary, "pid"), dir, "/proc/pid", null} {
		a.r.Do("create", "--bundle", a.b.Dir, "--pid-file", path, a.id).Failed("--pid-file")
		if left := a.left(); len(left) > 0 {
			t.Errorf("%s: %q", path, left)
		}
	}
}

// F-51: odd peers of --console-socket.
func TestConsoleSocket(t *testing.T) {
	need.Root(t)
	a := newArena(t, func(s *specs.Spec) { s.Process.Terminal = false })
	a.b.Edit(func(s *specs.Spec) { s.Process.Terminal = true })
	dir := lab.Dir(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(path("file"), nil, 0o600), unix.Mkfifo(path("fifo"), 0o600))
	closed, err := net.ListenUnix("unix", &net.UnixAddr{Name: path("closed"), Net: "unix"})
	must(t, err)
	closed.SetUnlinkOnClose(false)
	datagram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path("datagram"), Net: "unixgram"})
	must(t, err, closed.Close())
	defer datagram.Close()
	for _, name := range []string{"missing", "file", "fifo", "closed", "datagram", "file/below"} {
		begin := time.Now()
		a.r.Do("create", "--bundle", a.b.Dir, "--console-socket", path(name), a.id).Failed("--console-socket")
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
		if left := a.left(); len(left) > 0 {
			t.Errorf("%s: %q", name, left)
		}
	}
	// A peer that reads nothing is nobody's business.
	slow, err := net.ListenUnix("unix", &net.UnixAddr{Name: path("slow"), Net: "unix"})
	must(t, err)
	defer slow.Close()
	a.r.Do("create", "--bundle", a.b.Dir, "--console-socket", path("slow"), a.id).OK()
	if wrong := a.settle(); len(wrong) > 0 {
		t.Errorf("slow: %q", wrong)
	}
}

// F-52: what becomes of the log changes no outcome.
func TestLogTrouble(t *testing.T) {
	need.Root(t)
	a := newArena(t)
	reader, writer, err := os.Pipe()
	must(t, err, reader.Close())
	defer writer.Close()
	for _, flags := range [][]string{{"--debug", "--log", "/dev/full"}, {"--debug"}} {
		cmd := a.r.Command(append(flags, "create", "--bundle", a.b.Dir, a.id)...)
		cmd.Stderr = writer
		a.r.Finish(cmd).OK()
		cmd = a.r.Command(append(flags, "create", "--bundle", a.b.Dir, a.id)...)
		cmd.Stderr = writer
		if res := a.r.Finish(cmd); res.Code != 1 {
			t.Errorf("%q: want an error: %v", flags, res)
		}
		if wrong := a.settle(); len(wrong) > 0 {
			t.Errorf("%q: %q", flags, wrong)
		}
	}
	fifo := filepath.Join(lab.Dir(t), "fifo") // that nobody reads
	must(t, unix.Mkfifo(fifo, 0o600))
	for _, path := range []string{"/nonexistent/log", fifo} {
		a.r.Do("--log", path, "create", "--bundle", a.b.Dir, a.id).Failed("--log")
	}
	if left := a.left(); len(left) > 0 {
		t.Errorf("%q", left)
	}
}

// F-54: what is no namespace is found out before anything waits for it.
func TestNamespacePath(t *testing.T) {
	need.Root(t)
	dir := lab.Dir(t)
	fifo := filepath.Join(dir, "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	for _, path := range []string{fifo, "/dev/null", dir, "/dev/tty", "/proc/self/ns/net/x", "/nonexistent", "/proc/self/ns/uts"} {
		r := lab.New(t)
		b := lab.NewBundle(t, lab.Namespace(specs.NetworkNamespace, path))
		begin := time.Now()
		res := r.CreateFails(b)
		if took := time.Since(begin); took > 5*time.Second || strings.Contains(res.Stderr, "goroutine") {
			t.Errorf("%s: it took %v: %v", path, took, res)
		}
	}
}
