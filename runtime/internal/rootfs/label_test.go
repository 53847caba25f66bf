package rootfs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

const testLabel = "system_u:object_r:container_file_t:s0:c1,c2"

func labelled(selinux bool, annotations map[string]string, mounts ...specs.Mount) *step.Input {
	return &step.Input{
		Facts: step.Facts{SELinux: selinux},
		Bundle: &spec.Bundle{Spec: &specs.Spec{
			Annotations: annotations,
			Mounts:      mounts,
			Linux: &specs.Linux{
				MountLabel: testLabel, MaskedPaths: []string{"/x"},
				Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}},
			},
		}},
	}
}

// The label is an option of every file system that takes one, and of nothing else.
func TestMountLabel(t *testing.T) {
	for _, c := range []struct {
		mount specs.Mount
		want  []string
	}{
		{specs.Mount{Destination: "/x", Type: "tmpfs"}, []string{"context=" + testLabel}},
		{specs.Mount{Destination: "/x", Type: "tmpfs", Options: []string{"size=1m"}}, []string{"size=1m", "context=" + testLabel}},
		{specs.Mount{Destination: "/x", Type: "sysfs"}, nil},
	} {
		s, err := compileMount(labelled(true, nil, c.mount), 0, c.mount)
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := s.(Mount); !ok || !slices.Equal(m.Data, c.want) {
			t.Errorf("%s: %+v, want data %q", c.mount.Type, s, c.want)
		}
	}
	for _, kind := range []string{"proc", "mqueue", "cgroup"} {
		if got := labelOption(labelled(true, nil), kind); got != nil {
			t.Errorf("%s: %q", kind, got)
		}
	}
	if got := labelOption(labelled(false, nil), "tmpfs"); got != nil {
		t.Errorf("without SELinux: %q", got)
	}
	queue := specs.Mount{Destination: "/x", Type: "mqueue"}
	s, err := compileMount(labelled(true, nil, queue), 0, queue)
	if m, ok := s.(Mount); err != nil || !ok || m.Label != testLabel {
		t.Errorf("mqueue is %+v, %v; want it labelled afterwards", s, err)
	}
	s, err = compileMount(labelled(true, nil), 0, specs.Mount{Destination: "/x", Type: "tmpfs", Options: []string{"remount", "ro"}})
	if m, ok := s.(Remount); err != nil || !ok || len(m.Data) > 0 {
		t.Errorf("a remount is %+v, %v", s, err)
	}
}

func TestMountContextType(t *testing.T) {
	got := labelOption(labelled(true, map[string]string{contextType: "rootcontext"}), "tmpfs")
	if want := []string{"rootcontext=" + testLabel}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// The empty directory behind which others are hidden must be readable for the container.
func TestMaskLabel(t *testing.T) {
	var got step.Step
	if err := MaskedPaths(labelled(true, nil), func(_ string, s step.Step) { got = s }); err != nil {
		t.Fatal(err)
	}
	if m, ok := got.(Mask); !ok || !slices.Equal(m.Data, []string{"context=" + testLabel}) {
		t.Errorf("got %+v", got)
	}
}

func TestOldData(t *testing.T) {
	got := oldData([]string{"size=1m", "context=" + testLabel, "ro", `rootcontext="a,b"`, "fscontext=a:b:c"})
	if want := `size=1m,context="` + testLabel + `",ro,rootcontext="a,b",fscontext=a:b:c`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What is told of the options is what the parser knows: each word of its source is listed,
// and each that is listed is no data for the file system.
func TestListedOptionWords(t *testing.T) {
	words := OptionWords()
	for _, w := range words {
		if o := parseOptions([]string{w}); len(o.data) > 0 {
			t.Errorf("%q is listed, and goes to the file system", w)
		}
	}
	file, err := parser.ParseFile(token.NewFileSet(), "option.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		clause, ok := n.(*ast.CaseClause)
		if !ok {
			return true
		}
		for _, e := range clause.List {
			lit, ok := e.(*ast.BasicLit)
			if !ok {
				continue
			}
			w, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			seen++
			if w != "" && w != "idmap" && w != "ridmap" && !slices.Contains(words, w) {
				t.Errorf("%q is understood, and not listed", w)
			}
		}
		return true
	})
	if seen < 50 {
		t.Errorf("only %d words in the source", seen)
	}
}
