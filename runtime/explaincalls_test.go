package runtime

import (
	"os"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/spec"
)

// The calls are those of the plan: each step of the process section is there in its order,
// and they end with execve.
func TestExplainCalls(t *testing.T) {
	for name, rootless := range map[string]bool{"root": false, "user namespace": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(dir+"/rootfs", 0o755); err != nil {
				t.Fatal(err)
			}
			b := &spec.Bundle{Dir: dir, Spec: spec.Template(rootless, 1000, 1000, false)}
			b.Default()
			rt, err := New(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			before := openFiles(t)
			out, err := rt.ExplainCalls("x", b)
			if err != nil {
				t.Fatal(err)
			}
			if after := openFiles(t); after != before {
				t.Errorf("%d descriptors were open and %d are", before, after)
			}
			rest := string(out)
			for _, part := range []string{
				"mount proc on /proc", `fsopen("proc"`, "  # report that the namespaces are entered", "rt_sigaction(", "more like it", "  wait for start", "  # report that init is ready",
				"accept4(", "  # exec sh\n",
			} {
				i := strings.Index(rest, part)
				if i < 0 {
					t.Fatalf("%q is not there, or not in its place:\n%s", part, out)
				}
				rest = rest[i+len(part):]
			}
			if rest != "" {
				t.Errorf("after execve: %s", rest)
			}
		})
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
