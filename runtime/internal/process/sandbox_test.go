package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// build does the sandbox steps of one compile function.
func build(t *testing.T, in *step.Input, root *os.File, f compileFunc) (*step.Sandbox, error) {
	t.Helper()
	b := &step.Sandbox{Input: in, Root: root}
	t.Cleanup(func() {
		b.Cwd.Close()
		b.Proc.Close()
	})
	var err error
	e := f(in, func(_ string, s step.Step) {
		if err == nil {
			err = s.(step.SandboxStep).Do(b)
		}
	})
	if e != nil {
		t.Fatal(e)
	}
	return b, err
}

func TestWorkingDirectory(t *testing.T) {
	need.Root(t)
	outside := t.TempDir()
	root, dir := tree(t, map[string]string{
		"there/": "", "file": "x", "link": "-> /there", "out": "-> " + outside, "circle": "-> circle",
		"proc/self/fd/": "", "dotdot": "-> ../../../../../there", "new": "-> /made/by/link",
	})
	for path, want := range map[string]string{
		"/": dir, "/there": dir + "/there", "/link": dir + "/there", "/dotdot": dir + "/there",
		"/made/deep/down": dir + "/made/deep/down", "/../../../tmp/zz": dir + "/tmp/zz", "/new": dir + "/made/by/link",
		"/file":   `chdir to cwd ("/file") set in config.json failed: not a directory`,
		"/file/x": `chdir to cwd ("/file/x") set in config.json failed: not a directory`,
		"/circle": `chdir to cwd ("/circle") set in config.json failed: too many levels of symbolic links`,
	} {
		in := input()
		in.Process.Cwd = path
		b, err := build(t, in, root, WorkingDirectory)
		var got string
		if err != nil {
			got = err.Error()
		} else if got, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", b.Cwd.Fd())); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if st, err := os.Stat(dir + "/made/deep/down"); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("made directory: %v, %v", st, err)
	}
	in := input()
	in.Process.Cwd = "tmp"
	if err := WorkingDirectory(in, nil); err == nil || err.Error() != "Cwd must be an absolute path" {
		t.Errorf("error is %v", err)
	}
}

// A read-only root is made read-only before the directory is opened.
func TestEarlyDirectory(t *testing.T) {
	root, dir := tree(t, map[string]string{"file": "x"})
	tests := []struct {
		cwd      string
		readonly bool
		mounts   []specs.Mount
		want     bool
	}{
		{"/a/b", true, nil, true},
		{"/c", false, nil, false},
		{"/data/x", false, []specs.Mount{{Destination: "/data", Options: []string{"ro"}}}, true},
		{"/database", false, []specs.Mount{{Destination: "/data", Options: []string{"ro"}}}, false},
		{"/", true, nil, false},
		{"/file/x", true, nil, false},
	}
	for _, test := range tests {
		in := input()
		in.Process.Cwd = test.cwd
		in.Bundle.Spec.Root = &specs.Root{Path: dir, Readonly: test.readonly}
		in.Bundle.Spec.Mounts = test.mounts
		if _, err := build(t, in, root, EarlyDirectory); err != nil {
			t.Errorf("%s: %v", test.cwd, err)
		}
		_, err := os.Stat(dir + test.cwd)
		if made := err == nil && test.cwd != "/"; made != test.want {
			t.Errorf("%s: made %v, want %v", test.cwd, made, test.want)
		}
	}
}

// A link of procfs that leads to no path leads nowhere (CVE-2024-21626).
func TestWorkingDirectoryThroughMagicLink(t *testing.T) {
	need.Root(t)
	root, err := os.OpenFile("/", unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	host, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	for _, path := range []string{
		fmt.Sprintf("/proc/self/fd/%d", host.Fd()), fmt.Sprintf("/proc/self/fd/%d/..", host.Fd()), "/proc/1/cwd", "/proc/self/root",
	} {
		in := input()
		in.Process.Cwd = path
		if b, err := build(t, in, root, WorkingDirectory); err == nil {
			t.Errorf("%s leads to %s", path, b.Cwd.Name())
		}
	}
}

func TestEnterDirectory(t *testing.T) {
	need.Root(t)
	_, dir := tree(t, map[string]string{"mine/": "", "rootonly/": ""})
	if err := errors.Join(os.Chown(dir+"/mine", 1000, 1000), os.Chmod(dir+"/mine", 0o700), os.Chmod(dir+"/rootonly", 0o700)); err != nil {
		t.Fatal(err)
	}
	// As if root were nobody there, as on a file system over the network.
	squashed := []func(*entry.Program){func(p *entry.Program) {
		keep := uint64(1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETPCAP)
		p.Call(unix.SYS_CAPSET, p.Words(unix.LINUX_CAPABILITY_VERSION_3), p.Words(keep|keep<<32, 0, 0))
	}}
	for _, test := range []struct {
		path  string
		first []func(*entry.Program)
		errno error
	}{
		{"mine", nil, nil}, {"rootonly", nil, nil}, {"mine", squashed, nil}, {"rootonly", squashed, nil},
	} {
		in := input()
		in.Process.Cwd = dir + "/" + test.path
		in.Process.User = specs.User{UID: 1000, GID: 1000}
		in.Facts.Caps = 0
		sh(in, "exec readlink /proc/self/cwd")
		res := run(t, in, start{first: test.first})
		if got := strings.TrimSpace(res.ok(t).Out); got != in.Process.Cwd {
			t.Errorf("%s: directory is %q", test.path, got)
		}
	}
	// The user may not go where nobody may.
	in := input()
	in.Process.Cwd = dir + "/rootonly"
	in.Process.User = specs.User{UID: 1000, GID: 1000}
	squashed = append(squashed, func(p *entry.Program) {
		p.Call(unix.SYS_SETFSUID, 2) // owner 0 has its own bits
	})
	res := run(t, in, start{first: squashed})
	if want := fmt.Sprintf("chdir to cwd (%q) set in config.json failed", in.Process.Cwd); res.Failed != want || res.Errno != unix.EACCES {
		t.Errorf("got %q, %v", res.Failed, res.Errno)
	}
}

func TestHome(t *testing.T) {
	root, dir := tree(t, map[string]string{"etc/passwd": "!" +
		"root:x:0:0:root:/root:/bin/sh\n" +
		"1000:x:0:0::/wrong:/bin/sh\n" + // a name that looks like an id
		"broken:x:1000:1000\n" +
		"many:x:1000:1000:a:/many:b:c:d\n" +
		"user:x:1000:1000:A User:/home/user:/bin/sh\n" +
		"second:x:1000:1000::/second:/bin/sh\n" +
		"empty:x:5:5:::/bin/sh\n" +
		"neg:x:-1:5::/neg:/bin/sh\n" +
		"long:x:6:6::/" + strings.Repeat("x", 2000) + ":/bin/sh\n" +
		"last:x:0007:7::/last:"})
	for uid, want := range map[uint32]string{0: "/root", 1000: "/home/user", 5: "/", 6: "/", 7: "/last", 8: "/", 4294967295: "/"} {
		in := input()
		in.Process.User.UID = uid
		b, err := build(t, in, root, Home)
		if err != nil || b.Home != "HOME="+want {
			t.Errorf("user %d: %q, %v, want %q", uid, b.Home, err, want)
		}
	}
	in := input()
	in.Process.Env = append(in.Process.Env, "HOME=")
	if b, err := build(t, in, root, Home); err != nil || b.Home != "HOME=/root" {
		t.Errorf("empty HOME: %q, %v, want that of passwd", b.Home, err)
	}
	in.Process.Env = append(in.Process.Env, "HOME=/own")
	if b, _ := build(t, in, root, Home); b.Home != "" {
		t.Errorf("HOME is there and is looked up: %q", b.Home)
	}
	in = input()
	for _, other := range []func(string) error{
		os.Remove,
		func(name string) error { return unix.Mkfifo(name, 0o644) },
		func(name string) error { return errors.Join(os.Remove(name), os.Symlink("/dev/zero", name)) },
		func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o755)) },
	} {
		if err := other(dir + "/etc/passwd"); err != nil {
			t.Fatal(err)
		}
		if b, err := build(t, in, root, Home); err != nil || b.Home != "HOME=/" {
			t.Errorf("%q, %v", b.Home, err)
		}
	}
}

// An image whose /etc/passwd is a link to a file of the kernel's: reading /proc/kmsg would
// wait for ever, and take away what the host's log should get.
func TestHomeOfKernel(t *testing.T) {
	root, err := linux.OpenAt(nil, "/proc", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := readRegular(root, "version", 100); !errors.Is(err, errOfKernel) {
		t.Errorf("got %v", err)
	}
}

func TestSysctls(t *testing.T) {
	need.Root(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the namespaces end with the thread
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS); err != nil {
			t.Error(err)
			return
		}
		in := input()
		in.Bundle.Spec.Linux.Sysctl = map[string]string{
			"net.ipv4.ip_forward": "1", "kernel.shmmni": "4000", "net/ipv4/conf/lo/rp_filter": "2", "kernel.domainname": "inside",
		}
		if _, err := build(t, in, nil, Sysctls); err != nil {
			t.Error(err)
		}
		for name, want := range map[string]string{
			"net/ipv4/ip_forward": "1", "kernel/shmmni": "4000", "net/ipv4/conf/lo/rp_filter": "2", "kernel/domainname": "inside",
		} {
			if b, err := os.ReadFile("/proc/sys/" + name); err != nil || strings.TrimSpace(string(b)) != want {
				t.Errorf("%s is %q, %v, want %s", name, b, err, want)
			}
		}
		for name, want := range map[string]string{
			"net.nope": `cannot set sysctl "net.nope": no such sysctl`,
			"net.ipv4": `cannot set sysctl "net.ipv4" to value "x": is a directory`, "kernel.shmmni": `cannot set sysctl "kernel.shmmni" to value "x": invalid argument`,
		} {
			in.Bundle.Spec.Linux.Sysctl = map[string]string{name: "x"}
			if _, err := build(t, in, nil, Sysctls); err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
	}()
	<-done
}

// Names are checked with config.json; nothing else is ever made a path.
func TestSysctlNames(t *testing.T) {
	for _, name := range []string{"net/../kernel/panic", "", "net..x", "net/"} {
		in := input()
		in.Bundle.Spec.Linux.Sysctl = map[string]string{name: "x"}
		err := Sysctls(in, func(_ string, s step.Step) { t.Errorf("%q becomes a step: %s", name, s) })
		if want := fmt.Sprintf("cannot set sysctl %q: invalid name", name); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
