package process

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

func TestAffinity(t *testing.T) {
	need.Root(t)
	pinned := []func(*entry.Program){func(p *entry.Program) {
		p.Call(unix.SYS_SCHED_SETAFFINITY, 0, 8, p.Words(1))
	}}
	in := input()
	own := status(t, "Cpus_allowed_list")
	if got := run(t, in, start{first: pinned}).ok(t).field("Cpus_allowed_list"); got != own {
		t.Errorf("runs on %s, want %s", got, own)
	}
	in.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "a-b", Final: "0"}
	if got := run(t, in, start{}).ok(t).field("Cpus_allowed_list"); got != own {
		t.Errorf("runs on %s, want %s: the property is for exec", got, own)
	}
}

func TestNumberLists(t *testing.T) {
	for list, want := range map[string]string{
		"0": "1", "0-3": "f", "1,3-4, 6": "5a", "63": "8000000000000000",
		"": "error", "a-b": "error", "5-1": "error", "99999999": "error", "1,": "error", "64": "error", "-1": "error",
	} {
		var mask [1]uint64
		got := "error"
		if err := setNumbers(mask[:], list); err == nil {
			got = fmt.Sprintf("%x", mask[0])
		}
		if got != want {
			t.Errorf("%q: %s, want %s", list, got, want)
		}
	}
}

func TestExecAffinity(t *testing.T) {
	need.Root(t)
	in := input()
	in.Join = &step.Join{Pid: 1}
	in.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0-8191", Final: "0"}
	funcs := []compileFunc{InitialAffinity, Affinity, Execute}
	if got := run(t, in, start{funcs: funcs}).ok(t).field("Cpus_allowed_list"); got != "0" {
		t.Errorf("runs on %s", got)
	}
	in.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0"}
	if got := run(t, in, start{funcs: []compileFunc{InitialAffinity, Execute}}).ok(t).field("Cpus_allowed_list"); got != "0" {
		t.Errorf("runs on %s at first", got)
	}
	in.Process.ExecCPUAffinity = &specs.CPUAffinity{Final: "5-1"}
	want := `cannot set CPU affinity: bad CPU list "5-1": 5 is above 1`
	if err := Affinity(in, nil); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestMemoryPolicy(t *testing.T) {
	need.Root(t)
	_, err := os.Stat("/proc/self/numa_maps")
	need.Feature(t, "numa", err == nil, "no /proc/self/numa_maps")
	// The caller's must not be inherited.
	dirty := []func(*entry.Program){func(p *entry.Program) {
		p.Call(unix.SYS_SET_MEMPOLICY, 1, p.Words(1), 64)
	}}
	for _, test := range []struct {
		c    *specs.LinuxMemoryPolicy
		want string
	}{
		{nil, " default "},
		{&specs.LinuxMemoryPolicy{Mode: "MPOL_INTERLEAVE", Nodes: "0"}, " interleave:0 "},
		{&specs.LinuxMemoryPolicy{Mode: "MPOL_BIND", Nodes: "0", Flags: []specs.MemoryPolicyFlagType{"MPOL_F_STATIC_NODES"}}, " bind=static:0 "},
	} {
		in := input()
		in.Bundle.Spec.Linux.MemoryPolicy = test.c
		in.Process.Args = []string{"cat", "/proc/self/numa_maps"}
		if got := run(t, in, start{first: dirty}).ok(t).Out; !strings.Contains(got, test.want) {
			t.Errorf("%+v: no %q in %q", test.c, test.want, got)
		}
	}
	for _, c := range []specs.LinuxMemoryPolicy{
		{Mode: "X"}, {Mode: "MPOL_BIND", Flags: []specs.MemoryPolicyFlagType{"X"}}, {Mode: "MPOL_BIND", Nodes: "9999"},
	} {
		in := input()
		in.Bundle.Spec.Linux.MemoryPolicy = &c
		if err := MemoryPolicy(in, nil); err == nil || !strings.Contains(err.Error(), "invalid memory policy") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
