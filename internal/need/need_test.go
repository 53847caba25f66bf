package need

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestGate is run by TestPromises, as a process with and without a promise, and does nothing
// by itself.
func TestGate(t *testing.T) {
	switch os.Getenv("OCIRT_NEED_TEST") {
	case "present":
		Feature(t, "unicorn", true, "unused")
	case "absent":
		Feature(t, "unicorn", false, "none seen")
	case "tool":
		Tool(t, "no-such-tool-anywhere")
	}
}

func TestPromises(t *testing.T) {
	for _, c := range []struct{ mode, promises, want string }{
		{"present", "", "--- PASS: TestGate"},
		{"present", "unicorn", "--- PASS: TestGate"},
		{"absent", "", "SKIP-REASON: unicorn: TestGate: none seen"},
		{"absent", "", "--- SKIP: TestGate"},
		{"absent", "root,userns", "--- SKIP: TestGate"},
		{"absent", "root, unicorn", `promises "unicorn", but: none seen`},
		{"absent", "unicorn", "--- FAIL: TestGate"},
		{"tool", "", "SKIP-REASON: no-such-tool-anywhere: TestGate: no no-such-tool-anywhere in PATH"},
		{"tool", "no-such-tool-anywhere", "--- FAIL: TestGate"},
	} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestGate$", "-test.v")
		cmd.Env = append(os.Environ(), "OCIRT_NEED_TEST="+c.mode, Promises+"="+c.promises)
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), c.want) {
			t.Errorf("%+v: %v\n%s", c, err, out)
		}
		if failed := strings.Contains(c.want, "FAIL") || strings.Contains(c.want, "promises"); failed != (err != nil) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// The gates themselves must come to an answer on any machine.
func TestMachine(t *testing.T) {
	if sh := Tool(t, "sh"); !strings.HasSuffix(sh, "/sh") {
		t.Errorf("sh is %q", sh)
	}
	for name, gate := range map[string]func(testing.TB){"root": Root, "userns": UserNamespaces, "cgroup1": Cgroup1, "cgroup2": Cgroup2} {
		t.Run(name, func(t *testing.T) { gate(t) })
	}
}
