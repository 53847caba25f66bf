package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

func TestMain(m *testing.M) {
	runtime.Init() // the test binary plays ocirt, builder included
	testscript.Main(m, map[string]func(){"ocirt": main, "runc": main})
}

func TestScripts(t *testing.T) {
	inside := ""
	if os.Geteuid() == 0 {
		inside = buildInside(t)
	}
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/script",
		Deadline: time.Now().Add(2 * time.Minute),
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Setup: func(env *testscript.Env) error {
			// Ids name cgroups, which all tests of a host share.
			env.Setenv("ID", "ocirt-test-"+strconv.Itoa(os.Getpid())+"-"+filepath.Base(env.WorkDir))
			state := filepath.Join(env.WorkDir, "state")
			env.Defer(func() { removeAll(t, state) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// bundle DIR ARG... makes a bundle whose program is inside with these arguments.
			"bundle": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(makeBundle(ts.MkAbs(args[0]), inside, nil, args[1:]...))
			},
		},
	})
}

// removeAll deletes every container below a state directory.
func removeAll(t testing.TB, state string) {
	rt, err := runtime.New(state)
	if err != nil {
		t.Error(err)
		return
	}
	entries, err := os.ReadDir(state)
	if err != nil {
		return // there never was one
	}
	for _, e := range entries {
		if err := rt.ForceDelete(context.Background(), e.Name()); err != nil {
			t.Errorf("cannot clean up: %v", err)
		}
	}
}

// buildInside builds the program of the test containers, or takes it from where all such
// programs are on a machine without Go.
func buildInside(t testing.TB) string {
	if dir := os.Getenv("OCIRT_TEST_PROGRAMS"); dir != "" {
		return filepath.Join(dir, "sample")
	}
	path := filepath.Join(t.TempDir(), "inside")
	cmd := exec.Command("go", "build", "-o", path, "testdata/inside/main.go")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the program of the containers: %v\n%s", err, out)
	}
	return path
}

// makeBundle makes a bundle. Without a program it has an empty root file system.
func makeBundle(dir, inside string, change func(*spec.Bundle), args ...string) error {
	bin := filepath.Join(dir, "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	if inside != "" {
		program, err := os.ReadFile(inside)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(bin, "inside"), program, 0o755); err != nil {
			return err
		}
	}
	b := &spec.Bundle{Dir: dir, Spec: spec.Template(false, 0, 0, false)}
	b.Spec.Process.Terminal = false
	b.Spec.Process.Args = append([]string{"inside"}, args...)
	if change != nil {
		change(b)
	}
	data, err := spec.Marshal(b.Spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, spec.ConfigName), data, 0o644)
}
