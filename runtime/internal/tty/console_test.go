package tty

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/steptest"
	"github.com/ocirt/ocirt/spec"
)

// prepared stands for package rootfs: a root on a tmpfs with a devpts.
type prepared struct{ prepare func(root string) error }

func (prepared) String() string { return "prepare" }

func (p prepared) Do(b *step.Sandbox) error {
	root := b.Input.Bundle.RootPath()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(root, "dev/pts"), 0o755); err != nil {
		return err
	}
	if err := unix.Mount("devpts", filepath.Join(root, "dev/pts"), "devpts", 0, "newinstance,ptmxmode=0666,gid=5"); err != nil {
		return err
	}
	if p.prepare != nil {
		if err := p.prepare(root); err != nil {
			return err
		}
	}
	var err error
	b.Root, err = linux.OpenAt(nil, root, unix.O_PATH|unix.O_DIRECTORY, 0)
	return err
}

func build(t *testing.T, prepare func(root string) error, look func(b *step.Sandbox, err error)) {
	t.Helper()
	need.Root(t)
	steptest.In(t, steptest.Options{}, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(dir+"/rootfs", 0o755); err != nil {
			t.Fatal(err)
		}
		in := &step.Input{
			Bundle: &spec.Bundle{Dir: dir, Spec: &specs.Spec{Root: &specs.Root{Path: "rootfs"}, Linux: &specs.Linux{
				Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}},
			}}},
			Process: &specs.Process{Terminal: true, User: specs.User{UID: 1000}, ConsoleSize: &specs.Box{Height: 30, Width: 100}},
		}
		start := func(_ *step.Input, emit step.Emit) error { emit("", prepared{prepare}); return nil }
		steptest.Build(t, in, []steptest.Compile{start, Console}, look)
	})
}

func TestConsole(t *testing.T) {
	build(t, nil, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		size, err := unix.IoctlGetWinsize(int(b.Console.Fd()), unix.TIOCGWINSZ)
		if err != nil || size.Row != 30 || size.Col != 100 {
			t.Errorf("size %+v, %v", size, err)
		}
		st, err := linux.Stat(b.Console)
		if err != nil || st.Uid != 1000 || st.Gid != 5 {
			t.Errorf("owner %d:%d, %v", st.Uid, st.Gid, err)
		}
		console := filepath.Join(b.Root.Name(), "dev/console")
		var there unix.Stat_t
		if err := unix.Stat(console, &there); err != nil || there.Rdev != st.Rdev || there.Ino != st.Ino {
			t.Errorf("/dev/console: %+v, %v", there, err)
		}
		if m := steptest.Find(t, steptest.Mounts(t, b), console); m.Type != "devpts" {
			t.Errorf("%+v", m)
		}
		if _, err := b.Master.WriteString("hello\n"); err != nil {
			t.Error(err)
		}
		line := make([]byte, 16)
		if n, err := b.Console.Read(line); err != nil || string(line[:n]) != "hello\n" {
			t.Errorf("%q, %v", line[:n], err)
		}
	})
}

func TestHostileConsole(t *testing.T) {
	link := func(name string) func(root string) error {
		return func(root string) error { return os.Symlink("/tmp/made-by-us", filepath.Join(root, name)) }
	}
	for name, c := range map[string]struct {
		prepare func(root string) error
		words   string
	}{
		"console is a link":      {link("dev/console"), "it is a link or a directory"},
		"console is a directory": {func(root string) error { return os.Mkdir(root+"/dev/console", 0o755) }, "it is a link or a directory"},
		"dev is a link": {func(root string) error {
			if err := os.Rename(root+"/dev", root+"/real"); err != nil {
				return err
			}
			return os.Symlink("real", root+"/dev")
		}, "too many levels"},
		"no devpts": {func(root string) error {
			return unix.Mount("tmpfs", root+"/dev/pts", "tmpfs", 0, "")
		}, "not a devpts"},
		"ptmx is covered": {func(root string) error {
			return unix.Mount("/dev/null", root+"/dev/pts/ptmx", "", unix.MS_BIND, "")
		}, "not the multiplexer"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			build(t, c.prepare, func(b *step.Sandbox, err error) {
				if err == nil || !strings.Contains(err.Error(), c.words) {
					t.Errorf("got %v", err)
				}
				if b.Master != nil || b.Console != nil {
					t.Error("there is a terminal")
				}
				if _, err := os.Lstat("/tmp/made-by-us"); err == nil {
					t.Error("the link was followed")
				}
			})
		})
	}
}

// The process gets the terminal on its three descriptors, as its controlling one.
func TestUseConsole(t *testing.T) {
	build(t, nil, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		var p entry.Program
		p.Call(unix.SYS_SETSID)
		slot := p.Call(unix.SYS_DUP, p.Inherit(b.Console)).Keep()
		if err := (UseConsole{}).Lower(&step.Init{Program: &p, Console: slot}); err != nil {
			t.Fatal(err)
		}
		tty := p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String("/dev/tty"), unix.O_RDWR).Keep()
		p.Call(unix.SYS_WRITE, tty, p.String("a"), 1)
		for fd := range 3 {
			p.Call(unix.SYS_WRITE, fd, p.String("b"), 1)
		}
		p.Exit(0)
		null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		pid, err := p.Start([]*os.File{null, null, null}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, 0, nil); err != nil || status != 0 {
			t.Errorf("status %v, %v", status, err)
		}
		out := make([]byte, len("abbb"))
		if n, err := io.ReadFull(b.Master, out); err != nil || string(out) != "abbb" {
			t.Errorf("%q, %v", out[:n], err)
		}
	})
}

func TestConsoleSizeTooLarge(t *testing.T) {
	in := &step.Input{
		Bundle:  &spec.Bundle{Spec: &specs.Spec{}},
		Process: &specs.Process{Terminal: true, ConsoleSize: &specs.Box{Height: 1 << 16}},
	}
	if _, err := steptest.Plan(in, Console); err == nil {
		t.Error("no error")
	}
}

// An exec opens its terminal in a container that runs: from outside, through a handle of
// its root, and nothing is placed.
func TestConsoleFromOutside(t *testing.T) {
	build(t, nil, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		root := fmt.Sprintf("/proc/self/task/%d/root%s", unix.Gettid(), b.Root.Name())
		done := make(chan error)
		go func() { done <- consoleFromOutside(root, b.Input) }() // when nothing is open any more
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func consoleFromOutside(root string, in *step.Input) (err error) {
	outside := &step.Sandbox{Input: in}
	if outside.Root, err = linux.OpenAt(nil, root, unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
		return err
	}
	defer outside.Root.Close()
	if err := (OpenConsole{}).Do(outside); err != nil {
		return err
	}
	defer outside.Master.Close()
	defer outside.Console.Close()
	_, err = outside.Master.WriteString("x")
	return err
}
