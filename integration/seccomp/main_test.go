package seccomp

import (
	"encoding/json"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/profiles"
)

func TestMain(m *testing.M) { lab.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// profile sets the seccomp profile.
func profile(p *specs.LinuxSeccomp) lab.Edit {
	return func(s *specs.Spec) { s.Linux.Seccomp = p }
}

// docker is Docker's default profile, as Docker writes it on amd64.
func docker(t testing.TB) *specs.LinuxSeccomp {
	t.Helper()
	p := new(specs.LinuxSeccomp)
	must(t, json.Unmarshal(profiles.Docker, p))
	return p
}

func confined(yes bool) lab.Edit {
	return func(s *specs.Spec) { s.Process.NoNewPrivileges = yes }
}

func rule(action specs.LinuxSeccompAction, names ...string) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: names, Action: action}
}

// allowBut allows everything but what rules say.
func allowBut(rules ...specs.LinuxSyscall) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: rules}
}
