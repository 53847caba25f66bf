package safepath

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/steptest"
)

// tree makes a root with links of all kinds, beside a directory that must not be reached.
func tree(t *testing.T) (root *os.File, dir string) {
	t.Helper()
	base := t.TempDir()
	dir = base + "/root"
	for _, d := range []string{"/outside", "/root/a/b", "/root/etc"} {
		if err := os.MkdirAll(base+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"/outside/file": "outside", "/root/a/b/file": "inside", "/root/etc/file": "etc",
	} {
		if err := os.WriteFile(base+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"abs": "/a/b", "rel": "a/b", "up": "../../../etc", "out": base + "/outside", "loop": "loop", "dangling": "/new/dir",
		"a/back": "../etc", "chain": "a/back/../rel", "proc": "/proc/self/fd",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root, dir
}

var opened = []struct {
	path, want string
	errno      error
}{
	{"a/b/file", "inside", nil},
	{"/a/b/file", "inside", nil},
	{"//a/./b//file", "inside", nil},
	{"abs/file", "inside", nil},
	{"rel/file", "inside", nil},
	{"up/file", "etc", nil},
	{"../../etc/file", "etc", nil},
	{"a/back/file", "etc", nil},
	{"chain/file", "inside", nil},
	{"a/../etc/file", "etc", nil},
	{"out/file", "", unix.ENOENT},
	{"loop", "", unix.ELOOP},
	{"missing", "", unix.ENOENT},
	{"a/b/file/x", "", unix.ENOTDIR},
	{"dangling", "", unix.ENOENT},
}

func TestOpen(t *testing.T) {
	root, _ := tree(t)
	for _, c := range opened {
		f, err := Open(root, c.path, unix.O_RDONLY)
		check(t, c.path, f, err, c.want, c.errno)
	}
}

// The walk must agree with the kernel.
func TestWalk(t *testing.T) {
	root, _ := tree(t)
	for _, c := range opened {
		f, err := walkOpen(root, c.path, unix.O_RDONLY, true)
		check(t, c.path, f, err, c.want, c.errno)
	}
	for _, path := range []string{"abs/file", "a/back"} {
		if f, err := walkOpen(root, path, unix.O_PATH, false); !errors.Is(err, unix.ELOOP) {
			t.Errorf("%s: %v, %v", path, f, err)
		}
	}
	f, err := walkOpen(root, "abs", unix.O_PATH|unix.O_NOFOLLOW, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := linux.ReadlinkAt(f, ""); text != "/a/b" {
		t.Errorf("the link was followed: %q, %v", text, err)
	}
}

func check(t *testing.T, path string, f *os.File, err error, want string, errno error) {
	t.Helper()
	if errno != nil {
		if !errors.Is(err, errno) {
			t.Errorf("%s: %v", path, err)
		}
		return
	}
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	defer f.Close()
	if text, err := io.ReadAll(f); string(text) != want {
		t.Errorf("%s: %q, %v", path, text, err)
	}
}

// A magic link of a procfs leads out of every root.
func TestMagicLinks(t *testing.T) {
	slash, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer slash.Close()
	for name, open := range map[string]func(string) (*os.File, error){
		"openat2": func(p string) (*os.File, error) { return Open(slash, p, unix.O_PATH) },
		"walk":    func(p string) (*os.File, error) { return walkOpen(slash, p, unix.O_PATH, true) },
	} {
		for _, p := range []string{"proc/self/cwd", "proc/self/root/etc", "proc/self/fd/0/x", "proc/self/ns/mnt", "proc/thread-self/exe"} {
			if f, err := open(p); !errors.Is(err, unix.ELOOP) || !strings.Contains(err.Error(), "outside of the container root") {
				t.Errorf("%s %s: %v, %v", name, p, f, err)
			}
		}
		f, err := open("proc/self/status")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f.Close()
	}
}

// Errors say which of the things that an errno can mean it was.
func TestErrorsAreExplained(t *testing.T) {
	root, _ := tree(t)
	if _, err := Open(root, "loop", unix.O_PATH); !errors.Is(err, unix.ELOOP) || strings.Contains(err.Error(), "outside") {
		t.Errorf("a loop: %v", err)
	}
	for _, path := range []string{"a/b/file/x", "/abs/file/x/y"} {
		_, err := Open(root, path, unix.O_PATH)
		err = ExplainNotDir(root, path, err)
		want := `"/` + strings.TrimPrefix(path[:strings.Index(path, "/x")], "/") + `" is not a directory`
		if !errors.Is(err, unix.ENOTDIR) || err.Error() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if err := ExplainNotDir(root, "missing/x", unix.ENOENT); err != unix.ENOENT {
		t.Errorf("another errno became %v", err)
	}
}

func TestMkdirAll(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	root, dir := tree(t)
	for path, want := range map[string]string{
		"x/y/z": "x/y/z", "abs/new": "a/b/new", "up/n/m": "etc/n/m", "dangling/q": "new/dir/q", "a/b": "a/b", "out/made": "",
	} {
		f, err := MkdirAll(root, path, 0o751)
		if want == "" {
			// A link out of the root leads to a place in it: the same path from the root.
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			f.Close()
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		st, err := linux.Stat(f)
		f.Close()
		there, statErr := os.Stat(filepath.Join(dir, want))
		if err != nil || statErr != nil || !there.IsDir() {
			t.Errorf("%s: %v, %v", path, err, statErr)
		}
		if want != "a/b" && st.Mode&0o7777 != 0o751 {
			t.Errorf("%s: mode %o", path, st.Mode)
		}
	}
	if list, _ := os.ReadDir(filepath.Join(dir, "../outside")); len(list) != 1 {
		t.Errorf("outside of the root: %v", list)
	}
	for _, path := range []string{"a/b/file", "a/b/file/x", "loop/x", "nothing/../x/../../y"} {
		if f, err := MkdirAll(root, path, 0o755); err == nil {
			f.Close()
			t.Errorf("%s: no error", path)
		}
	}
}

func TestTarget(t *testing.T) {
	root, dir := tree(t)
	asked := 0
	want := func(dir bool) func() (bool, error) { return func() (bool, error) { asked++; return dir, nil } }
	for _, c := range []struct {
		path string
		dir  bool
		at   string
	}{
		{"a/b/file", true, "a/b/file"}, {"new/file", false, "new/file"}, {"new/sub", true, "new/sub"}, {"abs/made", false, "a/b/made"},
	} {
		f, err := Target(root, c.path, want(c.dir))
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		f.Close()
		st, err := os.Lstat(filepath.Join(dir, c.at))
		if err != nil || c.at != "a/b/file" && st.IsDir() != c.dir {
			t.Errorf("%s: %v, %v", c.path, st, err)
		}
	}
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{"/": ".", "": ".", "..": ".", "/../../x": "x", "x/./y/..": "x", "/proc//sys/": "proc/sys"} {
		if got := Clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Names change under us: an exchange of a directory and a link to the outside must never
// let anything out.
func TestSwappedDirectories(t *testing.T) {
	root, dir := tree(t)
	outside := filepath.Join(dir, "../outside")
	if err := os.Mkdir(dir+"/d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../outside", dir+"/l"); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, dir+"/d", unix.AT_FDCWD, dir+"/l", unix.RENAME_EXCHANGE)
			}
		}
	}()
	for i := range 2000 {
		name := "d/x" + string(rune('a'+i%26)) + "/y"
		if f, err := MkdirAll(root, name, 0o755); err == nil {
			f.Close()
		}
		if f, err := walkOpen(root, "d/../d/file", unix.O_RDONLY, true); err == nil {
			if text, _ := io.ReadAll(f); strings.Contains(string(text), "outside") {
				t.Error("a file outside of the root was opened")
			}
			f.Close()
		}
	}
	close(stop)
	<-stopped
	if list, _ := os.ReadDir(outside); len(list) != 1 {
		t.Errorf("outside of the root: %v", list)
	}
}

func TestProc(t *testing.T) {
	need.Root(t)
	steptest.In(t, steptest.Options{}, func(t *testing.T) {
		proc, err := Proc()
		if err != nil {
			t.Fatal(err)
		}
		defer proc.Close()
		if err := Write(proc, "sys/kernel/domainname", "test"); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile("/proc/sys/kernel/domainname"); string(b) != "test\n" {
			t.Errorf("domainname is %q", b)
		}
		for _, path := range []string{"self/status", "../etc/passwd", "sys/../sys/kernel/domainname/../../../../x", "1/root/x"} {
			if f, err := OpenProc(proc, path, unix.O_RDONLY); err == nil {
				f.Close()
				t.Errorf("%s was opened", path)
			}
		}
		if err := Write(proc, "sys/kernel/none", "x"); !errors.Is(err, unix.ENOENT) {
			t.Errorf("got %v", err)
		}
		if err := Write(proc, "sys/net/ipv4/ip_forward", "many"); !errors.Is(err, unix.EINVAL) {
			t.Errorf("got %v", err)
		}
	})
}

// What is mounted over a file of the procfs that everyone sees does not reach ours.
func TestProcIsNotCovered(t *testing.T) {
	need.Root(t)
	steptest.In(t, steptest.Options{}, func(t *testing.T) {
		fake := t.TempDir() + "/fake"
		if err := os.WriteFile(fake, []byte("fake"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(fake, "/proc/sys/kernel/domainname", "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		proc, err := Proc()
		if err != nil {
			t.Fatal(err)
		}
		defer proc.Close()
		if err := Write(proc, "sys/kernel/domainname", "real"); err != nil {
			t.Error(err)
		}
		if b, _ := os.ReadFile(fake); string(b) != "fake" {
			t.Errorf("the write went to the fake: %q", b)
		}
		covered, err := os.Open("/proc")
		if err != nil {
			t.Fatal(err)
		}
		defer covered.Close()
		if err := Write(covered, "sys/kernel/domainname", "x"); err == nil || !strings.Contains(err.Error(), "unsafe procfs") {
			t.Errorf("got %v", err)
		}
		// The walk sees the cover only when it has arrived.
		f, err := walkOpen(covered, "sys/kernel/domainname", unix.O_PATH, false)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := sameMount(covered, f); err == nil {
			t.Error("the cover was not seen")
		}
		// A file of a procfs can be covered by another one of it.
		if err := unix.Mount("/proc/sys/kernel/ostype", "/proc/sys/kernel/osrelease", "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		g, err := walkOpen(covered, "sys/kernel/osrelease", unix.O_PATH, false)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		if err := sameMount(covered, g); err == nil {
			t.Error("the cover of a procfs was not seen")
		}
	})
}
