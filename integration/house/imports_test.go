package house

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ocirt/ocirt/"

// A rule says what a package may import of this module, and what it may never import.
type rule struct {
	only  []string // prefixes of packages of ours; nil: any that is not forbidden
	never []string
	tests bool // its tests are bound by it, too
	why   string
}

const internal = "runtime/internal/"

// rules are docs/architecture.md's table of imports as data. The longest prefix counts.
func rules() map[string]rule {
	feature := rule{
		only: []string{"spec", internal + "step", internal + "entry", internal + "linux", internal + "safepath", internal + "elf"},
		why:  "a feature may not import another feature: what two need moves down",
	}
	return map[string]rule{
		"spec":                     {only: []string{"spec/internal"}, never: []string{"golang.org/x/sys", "os/exec", "syscall"}, why: "a config must be checkable anywhere"},
		"hooks":                    {only: []string{"none"}, why: "hooks are usable alone"},
		internal + "elf":           {only: []string{"none"}, why: "numbers"},
		internal + "entry":         {only: []string{internal + "elf"}, why: "a list of calls knows no containers"},
		internal + "attend":        {only: []string{internal + "entry"}, why: "it writes calls, whatever they are about"},
		internal + "step":          {only: []string{"spec", internal + "entry"}, why: "it is the contract: no feature"},
		internal + "bare":          {only: []string{"none"}, why: "it is below the floor"},
		internal + "linux":         {only: []string{internal + "bare"}, why: "it is the floor"},
		internal + "thread":        {only: []string{internal + "bare"}, why: "it works while the program is still starting"},
		"runtime/ahead":            {only: []string{internal + "thread", internal + "bare"}, why: "it is initialized among the first"},
		"cmd/ocirt/internal/early": {only: []string{"runtime/ahead"}, why: "its init function runs among the first"},
		internal + "safepath":      {only: []string{internal + "linux"}, why: "it is the floor"},
		internal + "criu":          {only: []string{internal + "linux"}, why: "messages to CRIU know no containers"},
		internal + "store":         {only: []string{internal + "linux", "spec"}, why: "the state directory knows no containers"},
		internal + "ns":            feature,
		internal + "rootfs":        feature,
		internal + "process":       feature,
		internal + "cgroup":        feature,
		internal + "seccomp":       feature,
		internal + "lsm":           feature,
		internal + "tty":           feature,
		internal + "netdev":        feature,
		internal + "rdt":           feature,
		internal + "wire":          {only: []string{internal + "step", internal + "linux"}, why: "messages know no features"},
		internal + "plan":          {never: []string{module + internal + "linux", module + internal + "launch", module + internal + "wire", module + internal + "store"}, why: "compiling does not touch the kernel"},
		internal + "launch":        {only: []string{"spec", internal + "plan", internal + "step", internal + "ns", internal + "wire", internal + "entry", internal + "linux", internal + "thread"}, why: "it runs steps without knowing them"},
		"runtime":                  {never: []string{"github.com/urfave/cli", module + "internal"}, why: "the library has no command line, and no helpers of tests"},
		"cmd/ocirt":                {only: []string{"spec", "runtime", "hooks"}, why: "the command is flags in, library call, text out"},
		"integration":              {only: []string{"integration", "examples", "internal"}, tests: true, why: "it tests a binary, any binary"},
		"examples":                 {only: []string{"examples"}, why: "examples run inside containers, or use the binary"},
		internal + "steptest":      {only: []string{"spec", internal, "internal"}, why: "helps tests of steps"},
		"internal":                 {only: []string{"internal"}, why: "helps every test"},
	}
}

type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImports(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		r, prefix := longest(name)
		if prefix == "" {
			t.Errorf("%s has no rule: add one to the table", name)
			continue
		}
		seen++
		imports := p.Imports
		if r.tests {
			imports = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		}
		for _, i := range imports {
			if why := r.forbids(name, i); why != "" {
				t.Errorf("%s imports %s: %s", name, i, why)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

// What begins a container's namespaces needs nothing but the Go runtime, or it would be
// initialized only after what it needs, and what sorts before that.
func TestInitializedFirst(t *testing.T) {
	first := deps(t, "runtime", "sync/atomic")
	early := deps(t, "./cmd/ocirt/internal/early")
	if !slices.Contains(early, module+internal+"bare") {
		t.Errorf("it needs %q", early)
	}
	for _, p := range early {
		if !strings.HasPrefix(p, module) && !slices.Contains(first, p) {
			t.Errorf("cmd/ocirt/internal/early needs package %s", p)
		}
	}
}

func deps(t *testing.T, packages ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-deps"}, packages...)...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Fields(string(out))
}

func longest(name string) (r rule, prefix string) {
	for p, rule := range rules() {
		if (name == p || strings.HasPrefix(name, p+"/")) && len(p) > len(prefix) {
			r, prefix = rule, p
		}
	}
	return r, prefix
}

func (r rule) forbids(name, path string) string {
	for _, n := range r.never {
		if path == n || strings.HasPrefix(path, n+"/") {
			return r.why
		}
	}
	ours, is := strings.CutPrefix(path, module)
	if !is || r.only == nil || ours == name || strings.HasPrefix(ours, name+"/") {
		return ""
	}
	for _, o := range r.only {
		if strings.HasPrefix(ours, o) {
			return ""
		}
	}
	return r.why
}
