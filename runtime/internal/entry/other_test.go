package entry

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/internal/need"
)

// TestOtherArchitectures builds this package's tests for every architecture that has a
// walker and runs them, and the images that they make, under a user-mode emulator.
func TestOtherArchitectures(t *testing.T) {
	native(t)
	readSources(t)
	need.Feature(t, "time", !testing.Short(), "builds a test binary for each architecture")
	for arch, name := range map[string]string{
		"amd64": "x86_64", "arm64": "aarch64", "loong64": "loongarch64",
		"ppc64le": "ppc64le", "riscv64": "riscv64", "s390x": "s390x",
	} {
		if arch == runtime.GOARCH {
			continue
		}
		t.Run(arch, func(t *testing.T) {
			qemu := need.Tool(t, "qemu-"+name+"-static")
			binary := filepath.Join(t.TempDir(), "entry.test")
			build := exec.Command(need.Tool(t, "go"), "test", "-c", "-o", binary, ".")
			build.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("cannot build: %v\n%s", err, out)
			}
			test := exec.Command(qemu, binary, "-test.v", "-test.timeout=5m")
			test.Env = append(os.Environ(), emulator+"="+qemu, need.Promises+"=")
			out, err := test.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%d tests passed, %d skipped", strings.Count(string(out), "\n--- PASS"), strings.Count(string(out), "\n--- SKIP"))
		})
	}
}

// readSources lets the go command see that this test depends on files that are not built
// for this architecture: it would reuse an old result after a change to them.
func readSources(t *testing.T) {
	t.Helper()
	names, err := filepath.Glob("*.[gs]*")
	if err != nil || len(names) < 10 {
		t.Fatalf("sources %q, %v", names, err)
	}
	for _, name := range names {
		readFile(t, name)
	}
}
