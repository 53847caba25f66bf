package runtime

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/spec"
)

// A container that is kept for Start by those who make it may end before; Start says so, and
// nothing stays open.
func TestEndsBeforeStart(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	program, err := os.ReadFile("/proc/self/exe") // what it does is never seen
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "rootfs"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "rootfs", "program"), program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	config := `{"ociVersion":"1.3.0","root":{"path":"rootfs"},"process":{"cwd":"/","args":["/program"]},"linux":{"namespaces":[{"type":"mount"},{"type":"pid"}]}}`
	b, err := spec.Parse(dir, []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	rt, err := New(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	for _, started := range []bool{true, false} {
		c, err := rt.Create(context.Background(), "ends-before-start", b, CreateOptions{Stdio: Inherit(), Hold: true})
		if err != nil {
			t.Fatal(err)
		}
		if c.self.prelude == nil || c.self.prelude.root == nil {
			t.Error("there is no connection to init, or no root of it")
		}
		err = unix.Kill(c.Pid(), unix.SIGKILL)
		if err == nil { // until it is dead it could have begun
			err = unix.Waitid(unix.P_PID, c.Pid(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		}
		if err != nil {
			t.Error(err)
		}
		if started {
			err := c.Start(context.Background(), StartOptions{})
			if err == nil || !strings.Contains(err.Error(), "cannot start a container that has stopped") {
				t.Errorf("start: %v", err)
			}
		}
		if err := c.Delete(context.Background(), true); err != nil {
			t.Errorf("delete: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors are open, were %d", after, before)
		}
	}
}
