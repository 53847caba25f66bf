package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const (
	// suiteModule is pinned by suite/go.mod; its programs are that file's tools.
	suiteModule = "github.com/opencontainers/runtime-tools"

	// thisPackage is where the suite folder is.
	thisPackage = "github.com/ocirt/ocirt/integration/validation"
)

// insideChecker is the suite's program that runs in the container.
const insideChecker = "runtimetest"

// A suite is the validation programs, built, in a folder laid out as they expect.
type suite struct {
	dir      string // holds programs, runtimetest and the root file system archive
	programs []string
}

// buildSuite builds the programs whose name matches pattern.
func buildSuite(dir, pattern string) (*suite, error) {
	here, err := goTool(".", "list", "-f", "{{.Dir}}", thisPackage)
	if err != nil {
		return nil, err
	}
	module := filepath.Join(here, "suite")
	bin := filepath.Join(dir, "bin")
	if _, err := goTool(module, "build", "-ldflags=-s -w", "-o", bin+"/", "tool"); err != nil {
		return nil, err
	}
	source, err := goTool(module, "list", "-m", "-f", "{{.Dir}}", suiteModule)
	if err != nil {
		return nil, err
	}
	s := &suite{dir: bin}
	entries, err := os.ReadDir(bin)
	if err != nil {
		return nil, fmt.Errorf("cannot list the programs: %w", err)
	}
	for _, e := range entries {
		if ok, _ := filepath.Match(pattern, e.Name()); ok && e.Name() != insideChecker {
			s.programs = append(s.programs, e.Name())
		}
	}
	if len(s.programs) == 0 {
		return nil, fmt.Errorf("cannot find a program that matches %q", pattern)
	}
	slices.Sort(s.programs)
	return s, s.provideRootfs(source)
}

// goTool runs the go command in a folder and returns what it prints.
func goTool(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	// The checker has to run in a root file system without a C library.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("cannot run go %s in %s: %w\n%s", args[0], dir, err, &stderr)
	}
	return strings.TrimSpace(string(out)), nil
}

// provideRootfs puts the archive the programs unpack beside them: the suite's own
// where it has one for this architecture, else one made of the host's static busybox.
func (s *suite) provideRootfs(source string) error {
	name := "rootfs-" + runtime.GOARCH + ".tar.gz"
	dst := filepath.Join(s.dir, name)
	src := filepath.Join(source, name)
	if data, err := os.ReadFile(src); err == nil {
		return os.WriteFile(dst, data, 0o644)
	}
	return packBusybox(dst)
}

func packBusybox(dst string) error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("cannot make a root file system: %w", err)
	}
	root, err := os.MkdirTemp("", "ocirt-rootfs-")
	if err != nil {
		return fmt.Errorf("cannot make a root file system: %w", err)
	}
	defer os.RemoveAll(root)
	for _, d := range []string{"bin", "dev", "etc", "proc", "sys", "tmp"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			return fmt.Errorf("cannot make a root file system: %w", err)
		}
	}
	data, err := os.ReadFile(busybox)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "bin/busybox"), data, 0o755)
	}
	if err != nil {
		return fmt.Errorf("cannot copy busybox: %w", err)
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("cannot list busybox's applets: %w", err)
	}
	for a := range strings.FieldsSeq(string(applets)) {
		if a == "busybox" {
			continue
		}
		if err := os.Symlink("busybox", filepath.Join(root, "bin", a)); err != nil {
			return fmt.Errorf("cannot link applet %s: %w", a, err)
		}
	}
	if out, err := exec.Command("tar", "-C", root, "-czf", dst, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("cannot pack a root file system: %w: %s", err, out)
	}
	return nil
}
