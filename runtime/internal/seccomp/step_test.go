package seccomp

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

func input(p *specs.LinuxSeccomp, nnp bool) *step.Input {
	process := &specs.Process{NoNewPrivileges: nnp}
	return &step.Input{
		Bundle:  &spec.Bundle{Spec: &specs.Spec{Process: process, Linux: &specs.Linux{Seccomp: p}}},
		Process: process,
	}
}

func steps(t *testing.T, in *step.Input, f func(*step.Input, step.Emit) error) (list []step.Step) {
	t.Helper()
	if err := f(in, func(_ string, s step.Step) { list = append(list, s) }); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSteps(t *testing.T) {
	p := profile(t, "docker")
	for _, nnp := range []bool{false, true} {
		early, late := steps(t, input(p, nnp), WithPrivilege), steps(t, input(p, nnp), Unprivileged)
		if len(early)+len(late) != 1 || (len(late) == 1) != nnp {
			t.Errorf("noNewPrivileges %v: %d steps before the user is set, %d at the end", nnp, len(early), len(late))
		}
		again := append(steps(t, input(p, nnp), WithPrivilege), steps(t, input(p, nnp), Unprivileged)...)
		if !reflect.DeepEqual(append(early, late...), again) {
			t.Error("two compilations differ")
		}
		s := again[0].(LoadFilter)
		if want := "load seccomp filter, " + strconv.Itoa(len(s.Program)) + " instructions"; s.String() != want {
			t.Errorf("%q, want %q", s, want)
		}
	}
	none := &step.Input{Bundle: &spec.Bundle{Spec: &specs.Spec{}}}
	for _, in := range []*step.Input{none, input(nil, false), input(nil, true)} {
		if n := len(steps(t, in, WithPrivilege)) + len(steps(t, in, Unprivileged)); n != 0 {
			t.Errorf("%d steps without a profile", n)
		}
	}
}

func TestFlags(t *testing.T) {
	const logged, fast = unix.SECCOMP_FILTER_FLAG_LOG, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	for _, test := range []struct {
		flags []specs.LinuxSeccompFlag
		want  uint
	}{
		{nil, fast},
		{[]specs.LinuxSeccompFlag{}, 0},
		{[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}, logged},
		{[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow}, logged | fast},
		{[]specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagWaitKillableRecv}, 0},
	} {
		if got, err := flagsOf(&specs.LinuxSeccomp{Flags: test.flags}, false, &step.Facts{}); got != test.want || err != nil {
			t.Errorf("%v: %#x, %v, want %#x", test.flags, got, err, test.want)
		}
	}
}

// What only a listener can use is left out without one, and refused by old kernels with
// one; a kernel is asked itself what it takes.
func TestKillableFlag(t *testing.T) {
	p := &specs.LinuxSeccomp{Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagWaitKillableRecv}}
	now, old := &step.Facts{Kernel: [2]int{6, 1}}, &step.Facts{Kernel: [2]int{5, 10}}
	const logged, killable = unix.SECCOMP_FILTER_FLAG_LOG, unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	if got, err := flagsOf(p, true, now); got != logged|killable || err != nil {
		t.Errorf("%#x, %v", got, err)
	}
	if got, err := flagsOf(p, false, old); got != logged || err != nil {
		t.Errorf("%#x, %v", got, err)
	}
	if _, err := flagsOf(p, true, old); err == nil || !strings.Contains(err.Error(), "linux.seccomp.flags[1]") {
		t.Errorf("error is %v", err)
	}
	for _, f := range p.Flags {
		if !Supported(f) {
			t.Errorf("this kernel is said not to take %s", f)
		}
	}
	if Supported("SECCOMP_FILTER_FLAG_X") {
		t.Error("every flag is said to be supported")
	}
}

// Rules that forbid nothing are known by their numbers.
func TestIdle(t *testing.T) {
	p := parse(t, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
		{"names": ["mkdri"], "action": "SCMP_ACT_ERRNO"}, {"names": ["mkdri", "mkdir"], "action": "SCMP_ACT_ERRNO"},
		{"names": ["mkdri"], "action": "SCMP_ACT_ALLOW"}, {"names": ["x", "y"], "action": "SCMP_ACT_KILL"}]}`)
	if got := Idle(p); !reflect.DeepEqual(got, []int{0, 3}) {
		t.Errorf("%v", got)
	}
	p.DefaultAction = specs.ActKillProcess // then nothing that anybody misspelt is let through
	if got := Idle(p); got != nil {
		t.Errorf("%v", got)
	}
	s := steps(t, input(parse(t, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdri"], "action": "SCMP_ACT_ERRNO"}]}`), true), Unprivileged)
	if w := s[0].(LoadFilter).Warnings(); len(w) != 1 || !strings.Contains(w[0], "syscalls[0].names") {
		t.Errorf("%q", w)
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"defaultAction": "SCMP_X"}`:                                                                                            "string SCMP_X is not a valid action for seccomp",
		`{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}`:                                                                    "string X is not a valid flag for seccomp",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "X"}]}`:                                  "string X is not a valid action for seccomp",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_TRAP", "args": [{"index": 6}]}]}`: "out of range (0 to 5)",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_TRAP", "args": [{"op": "X"}]}]}`:  "string X is not a valid operator",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_NOTIFY"}]}`:                       "listenerPath: required",
	} {
		err := Unprivileged(input(parse(t, text), true), func(string, step.Step) { t.Errorf("%s: is taken", text) })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %s", text, err, want)
		}
	}
}
