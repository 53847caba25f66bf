package runtime

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/spec"
)

// A program that makes many containers must not lose a descriptor with each one that fails.
func TestCreateKeepsNoDescriptors(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := `{"ociVersion":"1.3.0","root":{"path":"rootfs"},"process":{"cwd":"/","args":["/true"]},"linux":{"namespaces":[{"type":"mount"},{"type":"pid"}]}}`
	b, err := spec.Parse(dir, []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, root := range map[string]string{
		"no state folder can be made": filepath.Join(file, "state"), // after the pid file's folder is opened
		"no program":                  filepath.Join(dir, "state"),  // after that of the container is
	} {
		rt, err := New(root)
		if err != nil {
			t.Fatal(err)
		}
		before := descriptors(t)
		_, err = rt.Create(context.Background(), "c", b, CreateOptions{Stdio: Inherit(), PidFile: filepath.Join(dir, "pid")})
		if err == nil {
			t.Fatalf("%s: created", name)
		}
		t.Logf("%s: %v", name, err)
		if after := descriptors(t); after != before {
			t.Errorf("%s: %d descriptors are open, were %d", name, after, before)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
