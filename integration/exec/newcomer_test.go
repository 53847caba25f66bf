package exec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// chownOnly is the set of CAP_CHOWN, which is number 0.
const chownOnly = "1"

// A container is made in the pid namespace of another one, as in a pod that shares it. A
// process there that has CAP_SYS_PTRACE can hold every newcomer, and gets nothing that the
// container's own program has not: no other capability, no other root, no file of the host.
func TestHunterOfNewcomers(t *testing.T) {
	hunter, tries := buildHunter(t), 100
	if testing.Short() {
		tries = 30
	}
	canary := filepath.Join(lab.Dir(t), "canary")
	must(t, os.WriteFile(canary, []byte("secret"), 0o666))
	data, err := os.ReadFile(hunter)
	must(t, err)
	filter := func(s *specs.Spec) {
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno},
		}}
	}
	old := []string{hunter, "old"}
	for _, c := range []struct {
		name string
		wrap []string
		edit lab.Edit
	}{
		{"plain", nil, func(s *specs.Spec) { s.Process.NoNewPrivileges = true }},
		{"filter", nil, func(s *specs.Spec) { s.Process.NoNewPrivileges = true; filter(s) }},
		{"filter and privileges", nil, func(s *specs.Spec) { s.Process.NoNewPrivileges = false; filter(s) }},
		{"terminal", nil, func(s *specs.Spec) { s.Process.Terminal = true }},
		{"user", nil, func(s *specs.Spec) { s.Process.User = specs.User{UID: 1000, GID: 1000} }},
		{"old kernel", old, func(*specs.Spec) {}},
		{"old kernel, user", old, func(s *specs.Spec) { s.Process.User = specs.User{UID: 1000, GID: 1000} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := asRoot(t)
			a := s.bundle(t, lab.Capabilities("CAP_SYS_PTRACE", "CAP_NET_BIND_SERVICE"), lab.Args("/hunter", canary, "newcomers", chownOnly, "mark"))
			a.File("hunter", string(data), 0o755)
			k := s.r.Launch(a)
			k.Says("hunting")
			s.r.Wrap = c.wrap
			b := s.bundle(t, lab.Capabilities("CAP_CHOWN"), lab.Namespace(specs.PIDNamespace, k.Namespace(specs.PIDNamespace)), c.edit, forever)
			b.File("mark", "", 0o644)
			create := func() *lab.Container { return s.r.Create(b) }
			if b.Spec.Process.Terminal {
				path, receive := lab.ConsoleSocket(t, s.uid)
				create = func() *lab.Container {
					c := s.r.Create(b, "--console-socket", path)
					receive()
					return c
				}
			}
			for range tries {
				c := create()
				c.Kill("KILL").OK()
				c.Wait() // or the namespace cannot end
				c.Delete().OK()
			}
			if got := k.Stdout(); got != "hunting\nheld a newcomer\n" {
				t.Errorf("it says:\n%s", got)
			}
		})
	}
}
