package process

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// findTest is a program to look for: want is its path, or the error.
type findTest struct {
	name, env string
	user      specs.User
	override  bool // with CAP_DAC_OVERRIDE
	want      string
}

func findTests() []findTest {
	const search = "PATH=/usr/local/bin:/usr/bin:/bin"
	user := specs.User{UID: 1000, GID: 1000}
	inGroup := specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{77}}
	return []findTest{
		{"tool", search, user, false, "/usr/bin/tool"},
		{"tool", "PATH=/bin:/usr/bin", user, false, "/bin/tool"},
		{"tool", "A=b", user, false, "/usr/bin/tool"}, // no PATH at all
		{"tool2", "PATH=/bin:/usr/bin", user, false, "/usr/bin/tool2"},
		{"link", search, user, false, "/bin/link"},
		{"out", search, user, false, "/bin/out"},
		{"/bin/tool", search, user, false, "/bin/tool"},
		{"./run", search, user, false, "./run"},
		{"sub/run", search, user, false, "sub/run"},
		{"run", "PATH=:/bin", user, false, "./run"},
		{"run", "PATH=sub/", user, false, "sub/run"},
		{"group", search, inGroup, false, "/bin/group"},
		{"group", search, specs.User{UID: 5, GID: 77}, false, "/bin/group"},
		{"/private/secret", search, specs.User{}, false, "/private/secret"}, // owned by user 0
		{"/private/secret", search, user, true, "/private/secret"},
		{"nope", search, user, false, `exec: "nope": executable file not found in $PATH (PATH is /usr/local/bin:/usr/bin:/bin)`},
		{"tool", "PATH=", user, false, `exec: "tool": executable file not found in $PATH (PATH is "")`},
		{"folder", search, user, false, `exec: "folder": executable file not found in $PATH (PATH is /usr/local/bin:/usr/bin:/bin)`},
		{"nox", search, user, false, `exec: "nox": executable file not found in $PATH (PATH is /usr/local/bin:/usr/bin:/bin; /usr/bin/nox may not be executed (mode 0644, owner 0:0, executed by 1000:1000))`},
		{"dangling", search, user, false, `exec: "dangling": executable file not found in $PATH (PATH is /usr/local/bin:/usr/bin:/bin)`},
		{"/nope", search, user, false, `exec: "/nope": stat /nope: no such file or directory`},
		{"/bin/tool/x", search, user, false, `exec: "/bin/tool/x": stat /bin/tool/x: not a directory`},
		{"/usr/bin", search, user, false, `exec: "/usr/bin": is a directory`},
		{"/usr/bin/nox", search, user, true, `exec: "/usr/bin/nox": permission denied (mode 0644, owner 0:0, executed by 1000:1000)`},
		{"/bin/group", search, user, false, `exec: "/bin/group": permission denied (mode 0710, owner 0:77, executed by 1000:1000)`},
		{"/bin/fifo", search, user, false, `exec: "/bin/fifo": permission denied (it is no ordinary file)`},
		{"/private/secret", search, user, false, `exec: "/private/secret": stat /private/secret: permission denied`},
		{"/bin/circle", search, user, false, `exec: "/bin/circle": stat /bin/circle: too many levels of symbolic links`},
		{"/bin/self", search, user, false, `exec: "/bin/self": stat /bin/self: no such file or directory`},
		{"", search, user, false, `exec: "": executable file not found in $PATH`},
	}
}

func TestFindExecutable(t *testing.T) {
	need.Root(t)
	root, dir := tree(t, map[string]string{
		"bin/tool": "x", "usr/bin/tool": "x", "usr/bin/other": "x", "usr/bin/nox": "!x", "bin/tool2": "!x", "usr/bin/tool2": "x",
		"usr/local/bin/folder/": "", "bin/link": "-> /usr/bin/other", "bin/out": "-> ../../../../usr/bin/other",
		"bin/dangling": "-> nope", "bin/circle": "-> circle", "work/run": "x", "work/sub/run": "x", "private/secret": "x",
		"bin/self": "-> /proc/self/exe",
	})
	for name, mode := range map[string]os.FileMode{"private": 0o700, "usr/local/bin": 0o755} {
		if err := os.Chmod(dir+"/"+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/bin/group", []byte("x"), 0o710); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir+"/bin/group", 0, 77); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(dir+"/bin/fifo", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range findTests() {
		in := input()
		in.Process.Args = []string{test.name}
		in.Process.Env = []string{test.env}
		in.Process.User = test.user
		in.Process.Cwd = "/work"
		if test.override {
			in.Process.Capabilities = &specs.LinuxCapabilities{
				Permitted: []string{"CAP_DAC_OVERRIDE"}, Effective: []string{"CAP_DAC_OVERRIDE"},
			}
		}
		b, err := build(t, in, root, FindExecutable)
		got := b.Exec
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%q as %v: %s, want %s", test.name, test.user, got, test.want)
		}
	}
}

// The words are for callers, the values for us.
func TestFindExecutableErrors(t *testing.T) {
	need.Root(t)
	root, _ := tree(t, map[string]string{"bin/nox": "!x"})
	for name, want := range map[string]error{"x": ErrNotFound, "/x": unix.ENOENT, "/bin": unix.EISDIR, "/bin/nox": unix.EACCES} {
		in := input()
		in.Process.Args = []string{name}
		if _, err := build(t, in, root, FindExecutable); !errors.Is(err, want) {
			t.Errorf("%s: %v is no %v", name, err, want)
		}
	}
}

// Looking as another user must leave no trace on the thread.
func TestIdentityIsGivenBack(t *testing.T) {
	need.Root(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	read := func() string {
		b, err := os.ReadFile("/proc/thread-self/status")
		if err != nil {
			t.Fatal(err)
		}
		var kept []string
		for line := range strings.Lines(string(b)) {
			if name, _, _ := strings.Cut(line, ":"); strings.Contains("Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb", name) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	dumpable := func() int {
		n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	open := dumpable()
	before := read()
	id := identity{UID: 1000, GID: 1001, Groups: []uint32{5, 6}}
	during := ""
	if err := id.do(func() error { during = read(); return os.ErrExist }); err != os.ErrExist {
		t.Errorf("error is %v", err)
	}
	if after := read(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if n := dumpable(); n != open {
		t.Errorf("dumpable is %d, was %d", n, open)
	}
	for _, want := range []string{"Uid:\t0\t0\t0\t1000\n", "Gid:\t0\t0\t0\t1001\n", "Groups:\t5 6 \n", "CapEff:\t0000000000000000\n"} {
		if !strings.Contains(during, want) {
			t.Errorf("no %q in\n%s", want, during)
		}
	}
}
