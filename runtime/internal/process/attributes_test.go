package process

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

func TestDefaults(t *testing.T) {
	need.Root(t)
	in := input()
	r := run(t, in, start{}).ok(t)
	for name, want := range map[string]string{
		"Umask": "0022", "Uid": "0 0 0 0", "Gid": "0 0 0 0", "Groups": "", "NoNewPrivs": "0",
		"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000",
		"CapBnd": "0000000000000000", "CapAmb": "0000000000000000",
	} {
		if got := r.field(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// A process must not inherit what its caller ignores or blocks.
func TestSignals(t *testing.T) {
	need.Root(t)
	var p []func(*entry.Program)
	p = append(p, func(p *entry.Program) {
		ignore := p.Words(1, 0, 0, 0)
		for sig := 1; sig <= lastSignal; sig++ {
			if sig != int(unix.SIGKILL) && sig != int(unix.SIGSTOP) {
				p.Call(unix.SYS_RT_SIGACTION, sig, ignore, 0, sigsetSize)
			}
		}
		p.Call(unix.SYS_RT_SIGPROCMASK, setMask, p.Words(^uint64(0)), 0, sigsetSize)
	})
	in := input()
	dirty := run(t, in, start{first: p, funcs: []compileFunc{Execute}}).ok(t)
	if dirty.field("SigIgn") == "0000000000000000" || dirty.field("SigBlk") == "0000000000000000" {
		t.Fatalf("the test dirtied nothing: %s", dirty.Out)
	}
	clean := run(t, in, start{first: p}).ok(t)
	for _, name := range []string{"SigIgn", "SigBlk", "SigCgt"} {
		if got := clean.field(name); got != "0000000000000000" {
			t.Errorf("%s is %s", name, got)
		}
	}
}

// The same from a Go program that ignores signals, as ocirt's caller may.
func TestSignalsIgnoredByCaller(t *testing.T) {
	need.Root(t)
	signal.Ignore(syscall.SIGUSR1, syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGUSR1, syscall.SIGPIPE)
	if got := run(t, input(), start{}).ok(t).field("SigIgn"); got != "0000000000000000" {
		t.Errorf("SigIgn is %s", got)
	}
}

func TestUmask(t *testing.T) {
	need.Root(t)
	old := unix.Umask(0o777)
	defer unix.Umask(old)
	for _, mask := range []uint32{0, 0o22, 0o77, 0o777} {
		in := input()
		in.Process.User.Umask = &mask
		if got, want := run(t, in, start{}).ok(t).field("Umask"), fmt.Sprintf("%04o", mask); got != want {
			t.Errorf("umask is %s, want %s", got, want)
		}
	}
}

func TestNoNewPrivileges(t *testing.T) {
	need.Root(t)
	in := input()
	in.Process.NoNewPrivileges = true
	if got := run(t, in, start{}).ok(t).field("NoNewPrivs"); got != "1" {
		t.Errorf("NoNewPrivs is %s", got)
	}
}

func TestOOMScore(t *testing.T) {
	need.Root(t)
	for _, n := range []int{1000, 500, 7} {
		in := input()
		in.Process.OOMScoreAdj = &n
		in.Process.Args = []string{"cat", "/proc/self/oom_score_adj"}
		if got := run(t, in, start{}).ok(t).Out; got != fmt.Sprintln(n) {
			t.Errorf("adjustment is %q, want %d", got, n)
		}
	}
	bad := 1001
	in := input()
	in.Process.OOMScoreAdj = &bad
	if err := OOMScore(in, nil); err == nil || !strings.Contains(err.Error(), "1001 is out of range") &&
		!strings.Contains(err.Error(), "1001: out of range (-1000 to 1000)") {
		t.Errorf("error is %v", err)
	}
}

// Lowering needs CAP_SYS_RESOURCE; without it the error says what the lowest is.
func TestOOMScoreRefused(t *testing.T) {
	need.Root(t)
	n := -1000
	in := input()
	in.Process.OOMScoreAdj = &n
	r := run(t, in, start{first: []func(*entry.Program){func(p *entry.Program) {
		head := p.Words(unix.LINUX_CAPABILITY_VERSION_3)
		p.Call(unix.SYS_CAPSET, head, p.Bytes(make([]byte, 24)))
	}}})
	if r.Failed != "set OOM score adjustment to -1000" || r.Errno != unix.EACCES {
		t.Fatalf("got %q, %v", r.Failed, r.Errno)
	}
	own, _ := os.ReadFile("/proc/self/oom_score_adj")
	want := "current value " + strings.TrimSpace(string(own))
	if got := r.Step.(SetOOMScore).Explain(r.Errno); !strings.Contains(got, want) {
		t.Errorf("explanation is %q, want %q in it", got, want)
	}
}

func TestPersonality(t *testing.T) {
	need.Root(t)
	for domain, want := range map[specs.LinuxPersonalityDomain]string{
		"": "00000000\n", specs.PerLinux: "00000000\n", specs.PerLinux32: "00000008\n",
	} {
		in := input()
		if domain != "" {
			in.Bundle.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: domain}
		}
		in.Process.Args = []string{"cat", "/proc/self/personality"}
		// Without a reset, the caller's (no address randomisation) would be inherited.
		first := []func(*entry.Program){func(p *entry.Program) { p.Call(unix.SYS_PERSONALITY, 0x40000) }}
		if got := run(t, in, start{first: first}).ok(t).Out; got != want {
			t.Errorf("%q: personality is %q, want %q", domain, got, want)
		}
	}
	in := input()
	in.Bundle.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: "X"}
	if err := Personality(in, nil); err == nil || err.Error() != "invalid personality domain X" {
		t.Errorf("error is %v", err)
	}
}

func TestRlimits(t *testing.T) {
	need.Root(t)
	in := input()
	in.Process.Rlimits = []specs.POSIXRlimit{
		{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200},
		{Type: "RLIMIT_AS", Soft: 1 << 28, Hard: 1 << 29},
		{Type: "RLIMIT_NPROC", Soft: 50, Hard: 60},
		{Type: "RLIMIT_CORE", Soft: 0, Hard: 0},
		{Type: "RLIMIT_STACK", Soft: 1 << 20, Hard: 1 << 20},
		{Type: "RLIMIT_FSIZE", Soft: 1 << 20, Hard: 1 << 21},
		{Type: "RLIMIT_RTTIME", Soft: 1000, Hard: unlimited},
	}
	in.Process.Args = []string{"cat", "/proc/self/limits"}
	out := run(t, in, start{}).ok(t).Out
	for name, want := range map[string]string{
		"Max open files": "100 200", "Max address space": "268435456 536870912", "Max processes": "50 60",
		"Max core file size": "0 0", "Max stack size": "1048576 1048576", "Max file size": "1048576 2097152",
		"Max realtime timeout": "1000 unlimited",
	} {
		got := "absent"
		for line := range strings.Lines(out) {
			if v, ok := strings.CutPrefix(line, name); ok {
				got = strings.Join(strings.Fields(v)[:2], " ")
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// A hard limit above the caller's is for those who may raise it, even if the process may
// not any more when it is set.
func TestRlimitAboveCaller(t *testing.T) {
	need.Root(t)
	const resource = 24 // CAP_SYS_RESOURCE
	need.Feature(t, "cap_sys_resource", boundingOfKernel().has(resource), "CAP_SYS_RESOURCE is not in the bounding set")
	in := input()
	in.Process.User.UID = 1000
	in.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_MSGQUEUE", Soft: 1 << 30, Hard: 1 << 30}}
	lowered := []func(*entry.Program){func(p *entry.Program) {
		p.Call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_MSGQUEUE, p.Words(5, 5), 0)
	}}
	in.Process.Args = []string{"cat", "/proc/self/limits"}
	if out := run(t, in, start{first: lowered}).ok(t).Out; !strings.Contains(out, "1073741824") {
		t.Errorf("limits are\n%s", out)
	}
}

// Without the right to raise it is an error, which says why.
func TestRlimitRefused(t *testing.T) {
	need.Root(t)
	in := input()
	in.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_MSGQUEUE", Soft: 6, Hard: 7}}
	lowered := []func(*entry.Program){func(p *entry.Program) {
		p.Call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_MSGQUEUE, p.Words(5, 5), 0)
		p.Call(unix.SYS_CAPSET, p.Words(unix.LINUX_CAPABILITY_VERSION_3), p.Bytes(make([]byte, 24)))
	}}
	r := run(t, in, start{first: lowered, funcs: []compileFunc{LimitsRoom, Rlimits, Execute}})
	if r.Failed != "set RLIMIT_MSGQUEUE to 6:7" || r.Errno != unix.EPERM ||
		!strings.Contains(r.Step.(SetLimits).Explain(r.Errno), "above that of the caller") {
		t.Errorf("got %q, %v", r.Failed, r.Errno)
	}
}

func TestRlimitNames(t *testing.T) {
	in := input()
	for _, name := range limitNames {
		in.Process.Rlimits = []specs.POSIXRlimit{{Type: name}}
		if _, err := limitsOf(in); err != nil {
			t.Error(err)
		}
	}
	in.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_X"}}
	if _, err := limitsOf(in); err == nil || err.Error() != "wrong rlimit value: RLIMIT_X" {
		t.Errorf("error is %v", err)
	}
}

// The inherited limit on files is the caller's, not what Go raised it to.
func TestRlimitInherited(t *testing.T) {
	need.Root(t)
	var own unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &own); err != nil {
		t.Fatal(err)
	}
	in := input()
	sh(in, "ulimit -Hn")
	if got := strings.TrimSpace(run(t, in, start{}).ok(t).Out); got != amount(own.Max) {
		t.Errorf("hard limit is %s, want %d", got, own.Max)
	}
}

func TestScheduler(t *testing.T) {
	need.Root(t)
	tests := []struct {
		c    *specs.Scheduler
		want [2]string // policy, priority of /proc/self/stat; nice
		nice string
	}{
		{nil, [2]string{"0", "0"}, "0"},
		{&specs.Scheduler{Policy: specs.SchedBatch, Nice: 5}, [2]string{"3", "0"}, "5"},
		{&specs.Scheduler{Policy: specs.SchedIdle}, [2]string{"5", "0"}, "3"}, // has no nice value
		{&specs.Scheduler{Policy: specs.SchedOther, Nice: 19}, [2]string{"0", "0"}, "19"},
		{&specs.Scheduler{Policy: specs.SchedFIFO, Priority: 7}, [2]string{"1", "7"}, ""},
		{&specs.Scheduler{Policy: specs.SchedRR, Priority: 3, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}, [2]string{"2", "3"}, ""},
	}
	for _, test := range tests {
		in := input()
		in.Process.Scheduler = test.c
		in.Process.Args = []string{"cat", "/proc/self/stat"}
		// The caller's nice value must not be inherited.
		first := []func(*entry.Program){func(p *entry.Program) { p.Call(unix.SYS_SETPRIORITY, 0, 0, 3) }}
		r := run(t, in, start{first: first})
		if r.Errno == unix.EPERM && test.nice == "" {
			t.Logf("%v: this machine allows no real time", test.c)
			continue
		}
		_, after, _ := strings.Cut(r.ok(t).Out, ") ")
		f := strings.Fields(after)
		if got := [2]string{f[38], f[37]}; got != test.want {
			t.Errorf("%+v: policy and priority are %v, want %v", test.c, got, test.want)
		}
		if test.nice != "" && f[16] != test.nice {
			t.Errorf("%+v: nice is %s, want %s", test.c, f[16], test.nice)
		}
	}
}

func TestIOPriority(t *testing.T) {
	need.Root(t)
	for _, test := range []struct {
		c    *specs.LinuxIOPriority
		want string
	}{
		{nil, "none: prio 0\n"},
		{&specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}, "best-effort: prio 6\n"},
		{&specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE}, "idle\n"},
		{&specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT, Priority: 2}, "realtime: prio 2\n"},
	} {
		in := input()
		in.Process.IOPriority = test.c
		in.Process.Args = []string{"busybox", "ionice"}
		first := []func(*entry.Program){func(p *entry.Program) { p.Call(unix.SYS_IOPRIO_SET, 1, 0, 2<<13|7) }}
		got := run(t, in, start{first: first}).ok(t).Out
		if got != test.want && (test.c != nil || !strings.HasPrefix(got, "none")) {
			t.Errorf("%+v: %q, want %q", test.c, got, test.want)
		}
	}
}

func TestKeyring(t *testing.T) {
	need.Root(t)
	in := input()
	in.Options.NoNewKeyring = false
	in.ID = "ocirt-keyring-test"
	in.Process.Args = []string{"cat", "/proc/keys"}
	out := run(t, in, start{}).ok(t).Out
	found := false
	for line := range strings.Lines(out) {
		found = found || strings.Contains(line, " 3f1b0000 ") && strings.Contains(line, " _ses.ocirt-keyring-test:")
	}
	if !found {
		t.Errorf("no session keyring of ours in %q", out)
	}
}

// With --no-new-keyring, and only then, the caller's session keyring stays.
func TestKeyringOfCaller(t *testing.T) {
	need.Root(t)
	own, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, keep := range []bool{true, false} {
		in := input()
		in.ID = "ocirt-keyring-test"
		in.Options.NoNewKeyring = keep
		show := func(_ *step.Input, emit step.Emit) error { emit("test", printKeyring{}); return nil }
		out := run(t, in, start{funcs: []compileFunc{SessionKeyring, show}}).ok(t).Out
		if got := int(int32(binary.NativeEndian.Uint32([]byte(out)))); (got == own) != keep {
			t.Errorf("NoNewKeyring %v: keyring is %x, the caller's %x", keep, got, own)
		}
	}
}

// printKeyring prints the number of the session keyring, as four bytes, and exits.
type printKeyring struct{}

func (printKeyring) String() string { return "print keyring" }

func (printKeyring) Lower(i *step.Init) error {
	id := i.Slot(0)
	i.Call(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, unix.KEY_SPEC_SESSION_KEYRING, 0).KeepIn(id)
	i.Call(unix.SYS_WRITE, 1, entry.Addr(id), entry.SlotSize)
	i.Exit(0)
	return nil
}

func status(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	return result{Out: string(b)}.field(name)
}
