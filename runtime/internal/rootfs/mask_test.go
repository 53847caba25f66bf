package rootfs

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/steptest"
)

// What is mounted below a read-only path is read-only, too.
func TestReadonlyPathsBelow(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		in.Bundle.Spec.Mounts = []specs.Mount{tmpfs("/data"), tmpfs("/data/below")}
		in.Bundle.Spec.Linux.ReadonlyPaths = []string{"/data"}
	}, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{"/data", "/data/below"} {
			if m := steptest.Find(t, steptest.Mounts(t, b), at); !m.Has("ro") {
				t.Errorf("writable: %+v", m)
			}
		}
	})
}

// A link could lead to the null device now, and elsewhere a moment later (CVE-2025-31133).
func TestMaskNeedsNoLinkToNull(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		write(t, inRoot(in, "secret"), "")
		write(t, inRoot(in, "dev/x"), "")
		if err := unix.Mknod(inRoot(in, "dev/real"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
	}, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Unlink("/dev/null"); err != nil {
			t.Fatal(err)
		}
		link(t, "real", "/dev/null")
		err = (Mask{UnsafePaths: []string{"/secret"}}).Do(b)
		if err == nil || !strings.Contains(err.Error(), "cannot mask /secret") {
			t.Errorf("got %v", err)
		}
	})
}
