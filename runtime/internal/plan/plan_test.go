package plan

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

var update = flag.Bool("update", false, "rewrite the plans under testdata")

// input reads a case: config.json, and optionally facts.json, options.json and others over the
// defaults of a root on a hybrid host.
func input(t *testing.T, a *txtar.Archive) *step.Input {
	t.Helper()
	in := &step.Input{ID: "demo", Facts: step.Facts{Cgroup: "hybrid", LastCap: 40, Caps: 1<<41 - 1, Kernel: [2]int{6, 18}}}
	in.Cgroups = []step.Cgroup{
		{Name: "memory", Mount: "/sys/fs/cgroup/memory", Path: "/sys/fs/cgroup/memory/demo"},
		{Name: "pids", Mount: "/sys/fs/cgroup/pids", Path: "/sys/fs/cgroup/pids/demo"},
	}
	for _, f := range a.Files {
		var err error
		switch f.Name {
		case "config.json":
			if in.Bundle, err = spec.Parse("/bundle", f.Data); err == nil {
				in.Bundle.Default()
				in.Process = in.Bundle.Spec.Process
			}
		case "facts.json":
			err = json.Unmarshal(f.Data, &in.Facts)
		case "options.json":
			err = json.Unmarshal(f.Data, &in.Options)
		case "cgroups.json":
			in.Cgroups = nil
			err = json.Unmarshal(f.Data, &in.Cgroups)
		case "unit.json":
			err = json.Unmarshal(f.Data, &in.Unit)
		}
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
	}
	return in
}

func cases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	return files
}

func section(a *txtar.Archive, name string) *txtar.File {
	for i := range a.Files {
		if a.Files[i].Name == name {
			return &a.Files[i]
		}
	}
	return nil
}

func TestGolden(t *testing.T) {
	for _, file := range cases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := Compile(input(t, a))
			if err != nil {
				t.Fatal(err)
			}
			again, err := Compile(input(t, a))
			if err != nil || again.Text() != p.Text() {
				t.Error("compiling twice gives two plans")
			}
			if problems := input(t, a).Bundle.Validate(spec.Options{}).Errors(); len(problems) > 0 {
				t.Errorf("a golden case must be valid: %v", problems)
			}
			want := section(a, "plan")
			if *update {
				if want == nil {
					a.Files = append(a.Files, txtar.File{Name: "plan"})
					want = section(a, "plan")
				}
				want.Data = []byte(p.Text())
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want == nil || string(want.Data) != p.Text() {
				t.Errorf("plan differs (make golden rewrites it), got:\n%s", p.Text())
			}
		})
	}
}

// TestCompleteness fails for every property of config.json that concerns Linux, is in no
// golden case, and is not listed as unsupported with a reason: when the specification gains
// a property, this says what to do next.
func TestCompleteness(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range cases(t) {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, leaf := range spec.LeavesIn(section(a, "config.json").Data) {
			seen[leaf] = true
		}
	}
	leaves := spec.Leaves()
	if len(leaves) < 150 {
		t.Fatalf("only %d leaves", len(leaves))
	}
	for _, leaf := range leaves {
		reason := ""
		for _, u := range spec.Unsupported() {
			if u.Covers(leaf) {
				reason = u.Reason
			}
		}
		switch {
		case seen[leaf] && reason != "":
			t.Errorf("%s is in a golden case and listed as unsupported (%s)", leaf, reason)
		case !seen[leaf] && reason == "":
			t.Errorf("%s is in no golden case and not listed in spec/unsupported.go", leaf)
		}
	}
	for _, u := range spec.Unsupported() {
		if !slices.ContainsFunc(leaves, u.Covers) {
			t.Errorf("%s is listed as unsupported, and is no property", u.Pointer)
		}
	}
}

func TestStepsOfJSON(t *testing.T) {
	a, err := txtar.ParseFile("testdata/default.txtar")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(input(t, a))
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var lines []Line
	if err := json.Unmarshal(b, &lines); err != nil {
		t.Fatal(err)
	}
	if len(lines) != len(p.Steps()) {
		t.Fatalf("%d lines, %d steps", len(lines), len(p.Steps()))
	}
	for i, l := range lines {
		e, ok := p.Step(i + 1)
		if !ok || l.Number != i+1 || l.Step != e.Step.String() || l.From != e.From {
			t.Errorf("line %d is %+v, step %v", i, l, e)
		}
	}
}
