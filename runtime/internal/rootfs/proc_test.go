package rootfs

import (
	"os"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// What is said to be the procfs of a joined pid namespace may come from a process there.
func TestNoProc(t *testing.T) {
	root, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, path := range []string{root.Name(), "/proc/sys", "/dev/null"} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		b := &step.Sandbox{Input: &step.Input{}, Root: root, Files: []*os.File{f}}
		err = AttachProc{Source: "proc", Place: Place{UnsafePath: "proc", Plain: true, OnProc: true}}.Do(b)
		if err == nil || !strings.Contains(err.Error(), "unsafe procfs") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
