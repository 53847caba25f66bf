package exec

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// buildHunter makes the program and returns its path.
func buildHunter(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(lab.Programs); dir != "" {
		return filepath.Join(dir, "hunter")
	}
	path := filepath.Join(lab.Dir(t), "hunter")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "./hunter")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// A process of the container that does nothing but lie in wait gets hold of no process that
// joins it: not of its program, its memory, its descriptors or its directories
// (CVE-2016-9962, CVE-2019-5736, CVE-2024-21626).
func TestHunter(t *testing.T) {
	hunter, tries := buildHunter(t), 300
	if testing.Short() {
		tries = 40
	}
	canary := filepath.Join(lab.Dir(t), "canary")
	must(t, os.WriteFile(canary, []byte("secret"), 0o666))
	for _, c := range []struct {
		name string
		s    func(*testing.T) stance
		edit lab.Edit
		args []string
	}{
		{"root", asRoot, func(*specs.Spec) {}, nil},
		{"mapped, all capabilities", asMapped, lab.Capabilities(lab.AllCapabilities()...), nil},
		{"user, all capabilities", asUser, lab.Capabilities(lab.AllCapabilities()...), nil},
		// The kernel lets it in; then there is nothing to gain.
		{"root with CAP_SYS_PTRACE", asRoot, lab.Capabilities("CAP_SYS_PTRACE"), []string{"privileged"}},
		{"root with CAP_SYS_PTRACE, filter and privileges", asRoot, func(s *specs.Spec) {
			lab.Capabilities("CAP_SYS_PTRACE")(s)
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno},
			}}
		}, []string{"privileged"}},
		{"root with CAP_SYS_PTRACE, filter", asRoot, func(s *specs.Spec) {
			lab.Capabilities("CAP_SYS_PTRACE")(s)
			s.Process.NoNewPrivileges = true
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
		}, []string{"privileged"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.s(t)
			program, err := os.ReadFile(s.r.Path)
			must(t, err)
			b := s.bundle(t, c.edit, lab.Args(append([]string{"/hunter", canary}, c.args...)...))
			data, err := os.ReadFile(hunter)
			must(t, err)
			b.File("hunter", string(data), 0o755)
			s.own(b)
			k := s.r.Launch(b)
			k.Says("hunting")
			for range tries {
				s.exec(k, nil, "/inside", "pid").OK()
			}
			if got := strings.TrimPrefix(k.Stdout(), "hunting\n"); got != "" {
				t.Errorf("it got something:\n%s", got)
			}
			after, err := os.ReadFile(s.r.Path)
			if err != nil || sha256.Sum256(after) != sha256.Sum256(program) {
				t.Errorf("the runtime's program has changed (%v)", err)
			}
		})
	}
}
