package runtime

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// specification is the folder of the module of the runtime specification, with its schemas.
func specification(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	need.Feature(t, "go", err == nil, fmt.Sprintf("go list: %v", err))
	return strings.TrimSpace(string(out))
}

// A schema is a document of JSON schema, draft 4, as far as the specification uses it.
type schema struct {
	t     *testing.T
	dir   string
	files map[string]any
}

// check reports what in a value is not as a schema says. file is where the schema is from.
func (s *schema) check(file string, rule map[string]any, value any, path string) []string {
	var bad []string
	wrong := func(format string, args ...any) {
		bad = append(bad, path+": "+fmt.Sprintf(format, args...))
	}
	for key, want := range rule {
		switch key {
		case "$schema", "description", "id", "title", "default":
		case "$ref":
			to, rule := s.refer(file, want.(string))
			bad = append(bad, s.check(to, rule, value, path)...)
		case "type":
			if got := typeOf(value); got != want && (want != "number" || got != "integer") {
				wrong("is %s, want %v", got, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), value) {
				wrong("is %v, want one of %v", value, want)
			}
		case "pattern":
			if text, ok := value.(string); ok && !regexp.MustCompile(want.(string)).MatchString(text) {
				wrong("%q does not match %v", text, want)
			}
		case "required":
			for _, name := range want.([]any) {
				if m, ok := value.(map[string]any); ok && m[name.(string)] == nil {
					wrong("%v is missing", name)
				}
			}
		case "properties":
			for name, v := range members(value) {
				if rule, ok := want.(map[string]any)[name].(map[string]any); ok {
					bad = append(bad, s.check(file, rule, v, path+"/"+name)...)
				}
			}
		case "patternProperties":
			for name, v := range members(value) {
				for pattern, rule := range want.(map[string]any) {
					if regexp.MustCompile(pattern).MatchString(name) {
						bad = append(bad, s.check(file, rule.(map[string]any), v, path+"/"+name)...)
					}
				}
			}
		case "items":
			list, _ := value.([]any)
			for i, v := range list {
				bad = append(bad, s.check(file, want.(map[string]any), v, path+"/"+strconv.Itoa(i))...)
			}
		default:
			wrong("the schema uses %q, which this test does not know", key)
		}
	}
	return bad
}

func members(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func typeOf(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	}
	return "null"
}

// refer follows "FILE#/A/B".
func (s *schema) refer(file, ref string) (string, map[string]any) {
	s.t.Helper()
	name, fragment, _ := strings.Cut(ref, "#")
	if name == "" {
		name = file
	}
	if s.files[name] == nil {
		s.files[name] = parseJSON(s.t, filepath.Join(s.dir, name))
	}
	at := s.files[name]
	for part := range strings.SplitSeq(strings.Trim(fragment, "/"), "/") {
		if part != "" {
			at = members(at)[part]
		}
	}
	rule, ok := at.(map[string]any)
	if !ok {
		s.t.Fatalf("%s: no %s", file, ref)
	}
	return name, rule
}

func parseJSON(t *testing.T, file string) any {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

func TestFeaturesSchema(t *testing.T) {
	dir := filepath.Join(specification(t), "schema")
	s := &schema{t: t, dir: dir, files: map[string]any{}}
	check := func(v any) []string {
		file, rule := s.refer("", "features-schema.json#")
		return s.check(file, rule, v, "")
	}
	// First that this test would find something.
	for kind, want := range map[string]bool{"good": true, "bad": false} {
		files, err := filepath.Glob(filepath.Join(dir, "test/features", kind, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no examples: %v", err)
		}
		for _, f := range files {
			if bad := check(parseJSON(t, f)); (len(bad) == 0) != want {
				t.Errorf("%s: %q", f, bad)
			}
		}
	}
	b, err := json.Marshal(Features())
	if err != nil {
		t.Fatal(err)
	}
	var ours map[string]any
	if err := json.Unmarshal(b, &ours); err != nil {
		t.Fatal(err)
	}
	if bad := check(ours); len(bad) > 0 {
		t.Errorf("not as the schema wants it: %q", bad)
	}
	members(members(ours["linux"])["seccomp"])["actions"] = []any{"SCMP_ACT_NOPE"}
	if bad := check(ours); len(bad) != 1 {
		t.Errorf("an unknown action gives %q", bad)
	}
}

// Every word that the specification has for something must be known, so that a new version
// of it says what is missing here.
func TestFeaturesAreComplete(t *testing.T) {
	known := constants(t, filepath.Join(specification(t), "specs-go", "config.go"))
	f := Features()
	for kind, have := range map[string][]string{
		"LinuxNamespaceType": f.Linux.Namespaces, "LinuxSeccompAction": f.Linux.Seccomp.Actions,
		"LinuxSeccompOperator": f.Linux.Seccomp.Operators, "Arch": f.Linux.Seccomp.Archs,
		"MemoryPolicyModeType": f.Linux.MemoryPolicy.Modes, "MemoryPolicyFlagType": f.Linux.MemoryPolicy.Flags,
		"LinuxSeccompFlag": f.Linux.Seccomp.KnownFlags,
	} {
		want := known[kind]
		if kind == "LinuxSeccompFlag" { // libseccomp sets it by itself; config.json may name it all the same
			want = append(want, "SECCOMP_FILTER_FLAG_TSYNC")
		}
		slices.Sort(want)
		if have = slices.Sorted(slices.Values(have)); !slices.Equal(have, slices.Compact(want)) {
			t.Errorf("%s: %q, the specification has %q", kind, have, want)
		}
	}
	if len(known["LinuxNamespaceType"]) != 8 {
		t.Errorf("the source gives %q", known)
	}
}

// constants are the values of typed constants of a Go file, by their type.
func constants(t *testing.T, file string) map[string][]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		kind, isNamed := v.Type.(*ast.Ident)
		value, isLiteral := v.Values[0].(*ast.BasicLit)
		if isNamed && isLiteral {
			if text, err := strconv.Unquote(value.Value); err == nil {
				found[kind.Name] = append(found[kind.Name], text)
			}
		}
		return true
	})
	return found
}

// What is claimed must be taken: by the rules and by the plan.
func TestFeaturesAreTrue(t *testing.T) {
	f := Features()
	try := func(what string, edit func(*specs.Spec)) {
		t.Helper()
		s := &specs.Spec{
			Version: f.OCIVersionMax, Root: &specs.Root{Path: "rootfs"},
			Process: &specs.Process{Args: []string{"x"}, Cwd: "/"},
			Linux:   &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}}},
		}
		edit(s)
		b := &spec.Bundle{Dir: "/bundle", Spec: s}
		b.Default()
		if bad := append(b.Validate(spec.Options{}).Errors(), b.Unsupported()...); len(bad) > 0 {
			t.Errorf("%s: %v", what, bad)
			return
		}
		in := &step.Input{ID: "x", Bundle: b, Process: s.Process, Facts: step.Facts{LastCap: 40, Caps: 1<<41 - 1, Kernel: [2]int{6, 18}, SELinux: true, AppArmor: true}}
		if _, err := plan.Compile(in); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, v := range []string{f.OCIVersionMin, f.OCIVersionMax} {
		try(v, func(s *specs.Spec) { s.Version = v })
	}
	for _, n := range f.Linux.Namespaces {
		try(n, func(s *specs.Spec) {
			if n != "mount" {
				s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.LinuxNamespaceType(n)})
			}
			if n == "user" {
				s.Linux.UIDMappings = []specs.LinuxIDMapping{{Size: 1, HostID: 1000}}
				s.Linux.GIDMappings = s.Linux.UIDMappings
			}
		})
	}
	for _, o := range f.MountOptions {
		try(o, func(s *specs.Spec) {
			s.Mounts = []specs.Mount{{Destination: "/x", Type: "tmpfs", Source: "tmpfs", Options: []string{o}}}
			if strings.Contains(o, "bind") && !strings.Contains(o, "unbind") || strings.Contains(o, "-") {
				s.Mounts[0].Type, s.Mounts[0].Source = "bind", "/x"
			}
		})
	}
	for _, m := range f.Linux.MemoryPolicy.Modes {
		try(m, func(s *specs.Spec) {
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MemoryPolicyModeType(m), Nodes: "0"}
			if m == "MPOL_DEFAULT" || m == "MPOL_LOCAL" {
				s.Linux.MemoryPolicy.Nodes = ""
			}
		})
	}
	for _, flag := range f.Linux.Seccomp.KnownFlags {
		try(flag, func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlag(flag)}}
		})
	}
	for _, a := range f.Linux.Seccomp.Archs {
		try(a, func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.Arch(a)}}
		})
	}
	if len(f.Linux.Capabilities) != 41 || f.Linux.Capabilities[40] != "CAP_CHECKPOINT_RESTORE" {
		t.Errorf("capabilities are %q", f.Linux.Capabilities)
	}
}

// Whoever reads of an unsafe annotation must find what it does.
func TestAnnotationsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/annotations.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "| `") && strings.Contains(line, "**unsafe**") {
			rows++
		}
	}
	unsafe := Features().PotentiallyUnsafeConfigAnnotations
	for _, name := range unsafe {
		row := "\n| `" + name + "` **unsafe** |"
		if strings.HasSuffix(name, ".") {
			row = "\n| `" + name + "NAME` **unsafe** |"
		}
		if !strings.Contains(string(b), row) {
			t.Errorf("no row %q", row)
		}
	}
	if rows != len(unsafe) {
		t.Errorf("%d rows of unsafe annotations, %d in features", rows, len(unsafe))
	}
}

// Nothing in it is the host's: two hosts with the same program say the same.
func TestFeaturesAreSorted(t *testing.T) {
	f := Features()
	for name, list := range map[string][]string{
		"mountOptions": f.MountOptions, "namespaces": f.Linux.Namespaces, "actions": f.Linux.Seccomp.Actions,
		"operators": f.Linux.Seccomp.Operators, "archs": f.Linux.Seccomp.Archs, "flags": f.Linux.Seccomp.KnownFlags,
		"modes": f.Linux.MemoryPolicy.Modes, "unsafe annotations": f.PotentiallyUnsafeConfigAnnotations,
	} {
		if !slices.IsSorted(list) || len(list) == 0 || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("%s: %q", name, list)
		}
	}
	for _, word := range []string{"idmap", "ridmap"} {
		if slices.Contains(f.MountOptions, word) {
			t.Errorf("%s has a place of its own", word)
		}
	}
}
