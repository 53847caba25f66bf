package lsm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// outcome is how a program ended: the label and errno of the call that failed, if one did.
type outcome struct {
	label string
	errno syscall.Errno
}

// run makes the calls that write writes, in a process of its own.
func run(t *testing.T, attr *syscall.SysProcAttr, write func(*entry.Program)) outcome {
	t.Helper()
	var p entry.Program
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	p.ReportTo(p.Inherit(theirs))
	write(&p)
	p.Exit(0)
	pid, err := p.Start([]*os.File{os.Stdin, os.Stdout, os.Stderr}, attr)
	if err != nil {
		t.Fatal(err)
	}
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &ws, 0, nil); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	b := make([]byte, 64)
	n, _ := unix.Read(int(ours.Fd()), b)
	if r, ok := entry.ParseRecord(b[:max(n, 0)]); ok {
		label, _ := p.Describe(r.Call)
		return outcome{label, r.Errno}
	}
	if ws.ExitStatus() != 0 {
		t.Fatalf("ended with %v and without a word", ws)
	}
	return outcome{}
}

// comm is an attribute that every kernel has, as good as that of a security module to see
// what init writes and what it makes of the answer: the kernel cuts it after 15 bytes.
func comm(value, back string) attribute { return attribute{path: "comm", value: value, back: back} }

func TestAttribute(t *testing.T) {
	need.Root(t)
	for _, c := range []struct {
		name  string
		a     attribute
		label string
		errno syscall.Errno
	}{
		{"taken", comm("profile", "profile\n"), "", 0},
		{"taken, a part compared", comm("profile", "prof"), "", 0},
		{"taken, nothing to compare", comm("profile", ""), "", 0},
		{"cut by the kernel", comm("a-very-long-profile", "a-very-long-profile"), "read back `/proc/thread-self/comm`", unix.EAGAIN},
		{"other text", comm("profile", "profilf\n"), "read back `/proc/thread-self/comm`", unix.EAGAIN},
		{"longer than asked", comm("profile-2", "profile\n"), "read back `/proc/thread-self/comm`", unix.EAGAIN},
		{"shorter than asked", comm("prof", "profile\n"), "read back `/proc/thread-self/comm`", unix.EAGAIN},
		{"fallback", attribute{path: "attr/nosuch/exec", fallback: "comm", value: "x", back: "x\n"}, "", 0},
		{"path before fallback", attribute{path: "comm", fallback: "oom_score_adj", value: "x", back: "x\n"}, "", 0},
		{"missing", attribute{path: "attr/nosuch/exec", value: "x"}, "open `/proc/thread-self/attr/nosuch/exec`", unix.ENOENT},
		{"both missing", attribute{path: "nosuch/exec", fallback: "nosuch", value: "x"}, "write `/proc/thread-self/nosuch/exec`", unix.EBADF},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := run(t, nil, c.a.lower)
			if got.label != c.label || got.errno != c.errno {
				t.Errorf("got %+v, want %q, %v", got, c.label, c.errno)
			}
		})
	}
}

// Where something lies over /proc, or over a file below it, init's own procfs is not
// touched by it.
func TestOvermounted(t *testing.T) {
	need.Root(t)
	for _, place := range []string{"/proc", "/proc/thread-self/comm"} {
		t.Run(place, func(t *testing.T) {
			got := run(t, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, func(p *entry.Program) {
				cover(t, p, place)
				comm("profile", "profile\n").lower(p)
			})
			if got != (outcome{}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// The same where init may make no procfs: then the lie must be found.
func TestOvermountedWithoutFresh(t *testing.T) {
	need.Root(t)
	for place, want := range map[string]outcome{
		"/nowhere":               {},
		"/proc":                  {labelProc, unix.EAGAIN},
		"/proc, by a part of it": {labelProc, unix.EAGAIN},
		"/proc/thread-self/comm": {"open `/proc/thread-self/comm`", unix.EXDEV},
	} {
		t.Run(place, func(t *testing.T) {
			got := run(t, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, func(p *entry.Program) {
				if place != "/nowhere" {
					cover(t, p, place)
				}
				a := comm("profile", "profile\n")
				proc := p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String("/proc"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0).Keep()
				isProc(p, proc)
				a.open(p, p.Slot(-1), proc)
			})
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// cover mounts an empty folder, or a file of this test, over a place in the process' own
// mount namespace.
func cover(t *testing.T, p *entry.Program, place string) {
	t.Helper()
	p.Call(unix.SYS_MOUNT, 0, p.String("/"), 0, unix.MS_REC|unix.MS_PRIVATE, 0).Label("be private")
	if whole, ok := strings.CutSuffix(place, ", by a part of it"); ok {
		p.Call(unix.SYS_MOUNT, p.String(whole+"/self"), p.String(whole), 0, unix.MS_BIND, 0).Label("cover")
		return
	}
	if place == "/proc" {
		p.Call(unix.SYS_MOUNT, p.String("none"), p.String(place), p.String("tmpfs"), 0, 0).Label("cover")
		return
	}
	file := filepath.Join(t.TempDir(), "comm")
	if err := os.WriteFile(file, []byte("profile\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	p.Call(unix.SYS_MOUNT, p.String(file), p.String(place), 0, unix.MS_BIND, 0).Label("cover")
}

// In a user namespace whose /proc has masks no procfs may be made, and the one that is
// there is good enough.
func TestUserNamespace(t *testing.T) {
	need.Root(t)
	need.UserNamespaces(t)
	file := filepath.Join(t.TempDir(), "mask")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	attr := &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{HostID: 0, Size: 65536}},
		GidMappings: []syscall.SysProcIDMap{{HostID: 0, Size: 65536}},
	}
	for _, masked := range []bool{false, true} {
		got := run(t, attr, func(p *entry.Program) {
			p.Call(unix.SYS_MOUNT, 0, p.String("/"), 0, unix.MS_REC|unix.MS_PRIVATE, 0).Label("be private")
			if masked {
				p.Call(unix.SYS_MOUNT, p.String("proc"), p.String("/proc"), p.String("proc"), 0, 0).May(unix.EPERM).Label("mount proc")
				p.Call(unix.SYS_MOUNT, p.String(file), p.String("/proc/kallsyms"), 0, unix.MS_BIND, 0).Label("mask")
			}
			comm("profile", "profile\n").lower(p)
		})
		if got != (outcome{}) {
			t.Errorf("masked %v: got %+v", masked, got)
		}
	}
}

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		name        string
		stack       bool
		value, back string
	}{
		{"docker-default", false, "exec docker-default", "docker-default ("},
		{"unconfined", false, "exec unconfined", "unconfined\n"},
		{":ns:web", false, "exec :ns:web", ""},
		{"a//&b", false, "exec a//&b", ""},
		{"docker-default", true, "stack docker-default", ""},
	} {
		a := SetProfile{Name: c.name}.attribute(c.stack)
		if a.value != c.value || a.back != c.back {
			t.Errorf("%s: %q, back %q; want %q, %q", c.name, a.value, a.back, c.value, c.back)
		}
		if a.path != "attr/apparmor/exec" || a.fallback != "attr/exec" {
			t.Errorf("%s: %s, %s", c.name, a.path, a.fallback)
		}
	}
}

func input(p *specs.Process, f step.Facts) *step.Input {
	return &step.Input{ID: "test", Process: p, Facts: f, Bundle: &spec.Bundle{Spec: &specs.Spec{Process: p, Linux: &specs.Linux{}}}}
}

func compiled(t *testing.T, in *step.Input) []string {
	t.Helper()
	var got []string
	for _, part := range []func(*step.Input, step.Emit) error{Keys, AppArmor, SELinux} {
		if err := part(in, func(from string, s step.Step) { got = append(got, from+" "+s.String()) }); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

func TestCompile(t *testing.T) {
	on, off := step.Facts{AppArmor: true, SELinux: true}, step.Facts{}
	for _, c := range []struct {
		name string
		p    *specs.Process
		f    step.Facts
		keep bool
		want string
	}{
		{"none", nil, on, false, ""},
		{"nothing asked", &specs.Process{}, on, false, ""},
		{"unconfined without AppArmor", &specs.Process{ApparmorProfile: "unconfined"}, off, false, ""},
		{"unconfined", &specs.Process{ApparmorProfile: "unconfined"}, on, false, "/process/apparmorProfile set AppArmor profile to unconfined"},
		{"profile without AppArmor", &specs.Process{ApparmorProfile: "p"}, off, false, "/process/apparmorProfile set AppArmor profile to p"},
		{"label", &specs.Process{SelinuxLabel: "a:b:c"}, on, false, "/process/selinuxLabel set SELinux label of keys to a:b:c\n/process/selinuxLabel set SELinux label to a:b:c"},
		{"label, no keyring", &specs.Process{SelinuxLabel: "a:b:c"}, on, true, "/process/selinuxLabel set SELinux label to a:b:c"},
	} {
		in := input(c.p, c.f)
		in.Options.NoNewKeyring = c.keep
		if got := strings.Join(compiled(t, in), "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// What is asked for and not there must be refused, even by a step that was not checked.
func TestMissing(t *testing.T) {
	host := step.Facts{}
	Check(&host, &specs.Process{ApparmorProfile: "p"}, nil)
	for _, s := range []step.ProcessStep{SetProfile{Name: "p"}, SetContext{"a:b:c"}, LabelKeys{"a:b:c"}} {
		if _, is := s.(SetProfile); is && host.AppArmor {
			continue // nothing is missing here
		}
		if err := s.Lower(&step.Init{Program: &entry.Program{}, Input: input(nil, step.Facts{})}); err == nil {
			t.Errorf("%s: no error", s)
		}
	}
	f := step.Facts{}
	got := Check(&f, &specs.Process{ApparmorProfile: "p", SelinuxLabel: "a:b:c"}, &specs.Linux{MountLabel: "d:e:f"})
	want := []string{"/process/apparmorProfile", "/process/selinuxLabel", "/linux/mountLabel"}
	if f.AppArmor { // this host has it
		want = want[1:]
	}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i, p := range got {
		if p.Pointer != want[i] || p.Warning != (p.Pointer == "/linux/mountLabel") {
			t.Errorf("got %+v, want %s", p, want[i])
		}
	}
	if got := Check(&step.Facts{}, &specs.Process{ApparmorProfile: "unconfined"}, nil); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	if got := Check(&step.Facts{AppArmor: true, SELinux: true}, &specs.Process{ApparmorProfile: "p", SelinuxLabel: "l"}, &specs.Linux{MountLabel: "l"}); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestReword(t *testing.T) {
	a := attribute{path: "attr/apparmor/exec"}
	for _, c := range []struct {
		label string
		errno syscall.Errno
		want  string
	}{
		{labelSet + a.name(), unix.ENOENT, "apparmor failed to apply profile: \"web\" is not loaded: cannot write `/proc/thread-self/attr/apparmor/exec`"},
		{labelBack + a.name(), unix.EAGAIN, "cannot read back `/proc/thread-self/attr/apparmor/exec`: the kernel did not take the label"},
		{labelOpen + a.name(), unix.EXDEV, "unsafe procfs: something is mounted over `/proc/thread-self/attr/apparmor/exec`"},
		{labelOpen + a.name(), unix.EMFILE, ""},
		{labelProc, unix.EAGAIN, "unsafe procfs: what is mounted on /proc is not the root of a procfs"},
	} {
		if got := (SetProfile{Name: "web"}).Reword(c.label, c.errno); got != c.want {
			t.Errorf("%s, %v: %q, want %q", c.label, c.errno, got, c.want)
		}
	}
	want := "cannot write `/proc/thread-self/attr/exec`: invalid context \"bad\""
	if got := (SetContext{"bad"}).Reword("write `/proc/thread-self/attr/exec`", unix.EINVAL); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The kernel answers in the same file that it was asked in, as this FIFO-like stand-in
// cannot: what was written is what is read.
func TestCanonical(t *testing.T) {
	dir := t.TempDir()
	if _, err := canonical(dir, "a:b:c"); err == nil {
		t.Error("no error without the file")
	}
	if err := os.WriteFile(filepath.Join(dir, "context"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := canonical(dir, "a:b:c"); err != nil || got != "a:b:c\x00" {
		t.Errorf("%q, %v", got, err)
	}
}

// With AppArmor in the kernel: a profile that the machine has loaded is on the program
// that was executed, and one that it has not is refused.
func TestAppArmor(t *testing.T) {
	need.Root(t)
	need.Feature(t, "apparmor", appArmorParameter(), "AppArmor is not enabled")
	const name = "ocirt-lsm-test"
	load(t, name)
	for _, c := range []struct {
		profile string
		nnp     bool
		want    string
		errno   syscall.Errno
	}{
		{name, false, name + " (enforce)", 0},
		{name, true, name + " (enforce)", 0},
		{"unconfined", false, "unconfined", 0},
		{"nope-" + name, false, "", unix.ENOENT},
	} {
		out := filepath.Join(t.TempDir(), "out")
		f, err := os.Create(out)
		if err != nil {
			t.Fatal(err)
		}
		got := run(t, nil, func(p *entry.Program) {
			in := input(&specs.Process{ApparmorProfile: c.profile, NoNewPrivileges: c.nnp}, step.Facts{AppArmor: true})
			err := AppArmor(in, func(_ string, s step.Step) {
				if err := s.(step.ProcessStep).Lower(&step.Init{Program: p, Input: in}); err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				t.Error(err)
			}
			if c.nnp {
				p.Call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
			}
			p.Call(unix.SYS_DUP3, p.Inherit(f), 1, 0)
			cat, _ := exec.LookPath("cat")
			p.Call(unix.SYS_EXECVE, p.String(cat), p.Strings([]string{"cat", "/proc/self/attr/apparmor/current"}), p.Strings(nil))
		})
		f.Close()
		if got.errno != c.errno {
			t.Errorf("%s: %+v", c.profile, got)
			continue
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if now := strings.TrimSpace(string(b)); now != c.want {
			t.Errorf("%s: label is %q, want %q", c.profile, now, c.want)
		}
	}
}

// load gives the kernel a profile that allows reading, and takes it away in the end.
func load(t *testing.T, name string) {
	t.Helper()
	parser, err := exec.LookPath("apparmor_parser")
	need.Feature(t, "apparmor_parser", err == nil, "no apparmor_parser")
	file := filepath.Join(t.TempDir(), "profile")
	if err := os.WriteFile(file, []byte("profile "+name+" {\n file,\n signal,\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(parser, "-Kr", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command(parser, "-R", file).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}
