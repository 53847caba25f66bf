package seccomp

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// A startContainer hook is a program of the image: it is confined by the container's filter.
func TestStartContainerHook(t *testing.T) {
	need.Root(t)
	for _, nnp := range []bool{false, true} {
		r := lab.New(t)
		b := lab.NewBundle(t, confined(nnp), profile(allowBut(rule(specs.ActErrno, "mkdir", "mkdirat"))), func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{
				Path: "/bin/busybox", Args: []string{"sh", "-c", "echo ran >/tmp/ran; /bin/busybox mkdir /tmp/made 2>/dev/null; true"},
			}}}
		}, lab.Check("pid")).Busybox()
		r.Run(b).OK()
		if _, err := os.Stat(filepath.Join(b.Rootfs, "tmp/ran")); err != nil {
			t.Errorf("no_new_privs %v: the hook did not run: %v", nnp, err)
		}
		if _, err := os.Stat(filepath.Join(b.Rootfs, "tmp/made")); err == nil {
			t.Errorf("no_new_privs %v: the hook made a directory", nnp)
		}
	}
}
