package process

import (
	"encoding/binary"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		name    string
		given   []string
		options step.Options
		join    bool
		want    []string
	}{
		{"as given", []string{"B=2", "A=1"}, step.Options{}, false, []string{"B=2", "A=1"}},
		{"last wins", []string{"A=1", "B=2", "A=3", "C=4", "B=5"}, step.Options{}, false, []string{"A=3", "C=4", "B=5"}},
		{"values with =", []string{"A=b=c", "A=d="}, step.Options{}, false, []string{"A=d="}},
		{"empty", nil, step.Options{}, false, []string{}},
		{"empty home", []string{"HOME=/a", "A=1", "HOME="}, step.Options{}, false, []string{"A=1"}},
		{"sockets", []string{"LISTEN_FDS=9", "A=1"}, step.Options{ListenFDs: 2}, false, []string{"A=1", "LISTEN_FDS=2", "LISTEN_PID=1"}},
		{"named sockets", []string{"LISTEN_FDNAMES=own"}, step.Options{ListenFDs: 2, ListenNames: "a:b"}, false, []string{"LISTEN_FDS=2", "LISTEN_PID=1", "LISTEN_FDNAMES=a:b"}},
		{"names of no sockets", []string{"LISTEN_FDNAMES=own"}, step.Options{ListenNames: "a:b"}, false, []string{"LISTEN_FDNAMES=own"}},
		{"notify", []string{"NOTIFY_SOCKET=/x"}, step.Options{NotifyDir: "/run/host"}, false, []string{"NOTIFY_SOCKET=/run/notify/notify.sock"}},
		{"no notify in exec", []string{"A=1"}, step.Options{NotifyDir: "/run/host"}, true, []string{"A=1"}},
	} {
		in := input()
		in.Process.Env = test.given
		in.Options = test.options
		if test.join {
			in.Join = &step.Join{Pid: 1}
		}
		before := slices.Clone(test.given)
		if got := environment(in); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		if !slices.Equal(before, in.Process.Env) {
			t.Errorf("%s: the configuration was changed to %q", test.name, in.Process.Env)
		}
	}
}

// The program gets the list and HOME, and nothing of ours.
func TestExecuteEnvironment(t *testing.T) {
	need.Root(t)
	t.Setenv("OCIRT_LEAKS", "1")
	for _, test := range []struct{ given, want string }{
		{"A=1 B=2 A=3", "B=2\x00A=3\x00HOME=/home/x\x00"},
		{"A=1 HOME=/own", "A=1\x00HOME=/own\x00"},
		{"HOME= A=1", "A=1\x00HOME=/home/x\x00"},
		{"HOME=/own HOME=", "HOME=/home/x\x00"},
	} {
		in := input()
		in.Process.Env = strings.Fields(test.given)
		in.Process.Args = []string{"cat", "/proc/self/environ"}
		if got := run(t, in, start{home: "HOME=/home/x"}).ok(t).Out; got != test.want {
			t.Errorf("%s: %q, want %q", test.given, got, test.want)
		}
	}
}

func TestExecuteArguments(t *testing.T) {
	need.Root(t)
	in := input()
	in.Process.Args = []string{"echo", "a b", "", "c\nd", "\xff"}
	if got := run(t, in, start{}).ok(t).Out; got != "a b  c\nd \xff\n" {
		t.Errorf("got %q", got)
	}
}

func TestExecuteFails(t *testing.T) {
	need.Root(t)
	in := input()
	in.Process.Args = []string{"/nope/x"}
	if r := run(t, in, start{exec: "/nope/x"}); r.Failed != "exec /nope/x" || r.Errno != unix.ENOENT {
		t.Errorf("got %q, %v", r.Failed, r.Errno)
	}
}

// Only the first descriptors reach the program, with close_range and without it.
func TestCloseFiles(t *testing.T) {
	need.Root(t)
	extra, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	leak := []func(*entry.Program){func(p *entry.Program) {
		p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String("/"), unix.O_RDONLY, 0)
		p.Call(unix.SYS_DUP, 0)
	}}
	for n, want := range []string{"0 1 2", "0 1 2 3", "0 1 2 3 4"} {
		in := input()
		in.Options.PreserveFDs = n / 2
		in.Options.ListenFDs = n - n/2
		in.Process.Args = []string{"sh", "-c", "cd /proc/self/fd; echo *"}
		files := slices.Repeat([]*os.File{extra}, n)
		// The shell's own descriptor for reading the directory is the first free one.
		got := strings.Fields(run(t, in, start{extra: files, first: leak}).ok(t).Out)
		if list := strings.Join(got[:min(len(got), 3+n)], " "); list != want || len(got) > 4+n {
			t.Errorf("%d passed on: %q, want %q", n, got, want)
		}
	}
}

// A kernel before 5.11, or an outer filter, knows no range: what init was started with is
// marked one by one.
func TestCloseFilesWithoutCloseRange(t *testing.T) {
	need.Root(t)
	// As ocirt does when it starts: what its caller left open is nobody's.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	in := input()
	in.Process.Args = []string{"sh", "-c", "cd /proc/self/fd; echo *"}
	got := strings.Fields(run(t, in, start{first: []func(*entry.Program){refuseCloseRange}}).ok(t).Out)
	if list := strings.Join(got[:min(len(got), 3)], " "); list != "0 1 2" || len(got) > 4 {
		t.Errorf("descriptors %q", got)
	}
}

// refuseCloseRange loads a filter that answers ENOSYS to close_range.
func refuseCloseRange(p *entry.Program) {
	const load, jump, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	ins := func(code uint16, jt, jf uint8, k uint32) uint64 {
		b := binary.NativeEndian.AppendUint16(nil, code)
		b = append(b, jt, jf)
		return binary.NativeEndian.Uint64(binary.NativeEndian.AppendUint32(b, k))
	}
	filter := p.Words(
		ins(load, 0, 0, 0),
		ins(jump, 0, 1, unix.SYS_CLOSE_RANGE),
		ins(ret, 0, 0, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)),
		ins(ret, 0, 0, unix.SECCOMP_RET_ALLOW),
	)
	size := binary.NativeEndian.AppendUint16(nil, 4)
	prog := p.Words(binary.NativeEndian.Uint64(append(size, 0, 0, 0, 0, 0, 0)), uint64(filter))
	p.Call(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, prog).Label("load the test's filter")
}

// Two compilations of one input give equal steps, which stay as they are when the input is
// changed afterwards.
func TestStepsAreValues(t *testing.T) {
	in := input()
	in.Process.User.AdditionalGids = []uint32{1, 2}
	in.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1, Hard: 2}}
	in.Bundle.Spec.Linux.Sysctl = map[string]string{"net.b": "1", "net.a": "2", "net.c": "3"}
	compile := func() (steps []step.Entry) {
		for _, f := range append(slices.Clone(order), Sysctls, WorkingDirectory, FindExecutable, Home) {
			if err := f(in, func(from string, s step.Step) { steps = append(steps, step.Entry{From: from, Step: s}) }); err != nil {
				t.Fatal(err)
			}
		}
		return steps
	}
	first, second := compile(), compile()
	if !reflect.DeepEqual(first, second) {
		t.Errorf("%v\n%v", first, second)
	}
}

func TestNoProcessNoSteps(t *testing.T) {
	in := input()
	in.Process, in.Bundle.Spec.Process = nil, nil
	for _, f := range append(slices.Clone(order), Sysctls, WorkingDirectory, FindExecutable, Home, InitialAffinity) {
		if err := f(in, func(from string, s step.Step) { t.Errorf("%s: %s", from, s) }); err != nil {
			t.Error(err)
		}
	}
}

func TestSentences(t *testing.T) {
	in := input()
	in.Facts.LastCap, in.Facts.Caps = 40, 0
	p := in.Process
	p.Args = []string{"sh", "-c", "echo hello"}
	p.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{5, 6}}
	p.Cwd = "/a dir"
	p.NoNewPrivileges = true
	oom := -5
	p.OOMScoreAdj = &oom
	p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 20}, {Type: "RLIMIT_CORE", Soft: unlimited, Hard: unlimited}}
	p.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO, Priority: 3, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}
	p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 2}
	p.Capabilities = &specs.LinuxCapabilities{
		Bounding: []string{"CAP_CHOWN", "CAP_KILL"}, Permitted: []string{"CAP_CHOWN", "CAP_KILL"},
		Effective: []string{"CAP_CHOWN"}, Inheritable: []string{"CAP_KILL"}, Ambient: []string{"CAP_KILL"},
	}
	in.Options.NoNewKeyring = false
	in.Bundle.Spec.Linux.Sysctl = map[string]string{"net.x/y~z": "a b"}
	want := []string{
		"/process/oomScoreAdj set OOM score adjustment to -5",
		"/process/rlimits make room for 2 resource limits",
		"ocirt reset ignored and blocked signals",
		"ocirt join session keyring _ses.test",
		"ocirt run on all processors",
		"/process/scheduler set scheduler to SCHED_FIFO, priority 3, SCHED_FLAG_RESET_ON_FORK",
		"/process/ioPriority set I/O priority to IOPRIO_CLASS_BE 2",
		"ocirt set memory policy to MPOL_DEFAULT",
		"ocirt set personality to LINUX",
		"ocirt set umask to 0022",
		"/process/capabilities limit capabilities to 2 of 41",
		`/process/cwd enter directory "/a dir"`,
		"/process/user set user to 1000:1001 and groups 5, 6",
		"/process/capabilities set capabilities to 2 of 41 (1 effective, 1 inheritable, 1 ambient)",
		"/process/noNewPrivileges allow no new privileges",
		"/process/rlimits limit nofile to 10–20, core to unlimited",
		"ocirt close all descriptors but the first 3",
		`/process/args execute sh -c "echo hello"`,
		`/linux/sysctl/net.x~1y~0z set sysctl net.x/y~z to "a b"`,
		`/process/cwd prepare directory "/a dir"`,
		"/process/args/0 find program sh",
		"/process/user/uid look up the home directory of user 1000",
	}
	var got []string
	for _, f := range append(slices.Clone(order), Sysctls, WorkingDirectory, FindExecutable, Home) {
		if err := f(in, func(from string, s step.Step) { got = append(got, from+" "+s.String()) }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("step %d: got %q\nwant %q", i, got[min(i, len(got)):], want[min(i, len(want)):])
		}
	}
}

func TestWords(t *testing.T) {
	long := strings.Repeat("x", 500)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"a", "b"}, "a b"},
		{[]string{"", "$X", "a\x1b[0m", "é\u202e"}, `"" "$X" "a\x1b[0m" "é\u202e"`},
		{[]string{"sh", long, "c", "d"}, "sh \"" + strings.Repeat("x", 160) + "…\" … (2 more arguments)"},
	} {
		if got := words(test.args); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
