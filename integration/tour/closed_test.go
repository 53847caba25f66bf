package tour

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// Paths that tell of the host, or change it, and that no container gets by default
// (CVE-2015-3630 and what came after it).
func closedPaths() (hidden, readOnly []string) {
	return []string{
			"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
			"/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
		},
		[]string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// The configuration that `ocirt spec` writes closes them, whatever the kernel has.
func TestDefaultPathsAreClosed(t *testing.T) {
	s := asRoot(t)
	dir := lab.Dir(t)
	s.runtime.Do("spec", "--bundle", dir).OK()
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var made specs.Spec
	if err := json.Unmarshal(data, &made); err != nil {
		t.Fatal(err)
	}
	hidden, readOnly := closedPaths()
	var looks []string
	for _, p := range hidden {
		looks = append(looks, "try-read", p, "--")
		if !slices.Contains(made.Linux.MaskedPaths, p) {
			t.Errorf("%s is not among the masked paths", p) // which another kernel may have
		}
	}
	for _, p := range readOnly {
		if !slices.Contains(made.Linux.ReadonlyPaths, p) {
			t.Errorf("%s is not among the read-only paths", p)
		}
	}
	b := s.bundle(t, lab.Check(looks...), func(c *specs.Spec) {
		c.Linux.MaskedPaths, c.Linux.ReadonlyPaths = made.Linux.MaskedPaths, made.Linux.ReadonlyPaths
		c.Process.Capabilities = made.Process.Capabilities
	})
	for i, got := range s.runtime.Run(b).OK().Lines() {
		if got != "EOF" && got != "no such file or directory" {
			t.Errorf("%s: %s", hidden[i], got)
		}
	}
	b.Edit(lab.Check("report", "mounts"))
	r := s.runtime.Report(b)
	for _, p := range readOnly {
		if _, err := os.Stat(p); err != nil {
			continue // this kernel does not have it
		}
		if m := r.Mount(p); m == nil || !slices.Contains(m.Options, "ro") {
			t.Errorf("%s is not read-only: %+v", p, m)
		}
	}
}
