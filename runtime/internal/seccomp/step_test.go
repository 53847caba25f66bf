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
		if got, err := flagsOf(&specs.LinuxSeccomp{Flags: test.flags}); got != test.want || err != nil {
			t.Errorf("%v: %#x, %v, want %#x", test.flags, got, err, test.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"defaultAction": "SCMP_X"}`:                                                                                            "string SCMP_X is not a valid action for seccomp",
		`{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}`:                                                                    "string X is not a valid flag for seccomp",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "X"}]}`:                                  "string X is not a valid action for seccomp",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_TRAP", "args": [{"index": 6}]}]}`: "out of range (0 to 5)",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_TRAP", "args": [{"op": "X"}]}]}`:  "string X is not a valid operator",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_NOTIFY"}]}`:                       "not supported yet",
	} {
		err := Unprivileged(input(parse(t, text), true), func(string, step.Step) { t.Errorf("%s: is taken", text) })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %s", text, err, want)
		}
	}
}
