package examples

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func makeExample(t *testing.T, name string, o Options) (string, *specs.Spec) {
	t.Helper()
	dir := t.TempDir()
	o.Tour = filepath.Join(t.TempDir(), "tour")
	if err := os.WriteFile(o.Tour, []byte("a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Make(name, dir, o); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	return dir, &spec
}

func TestEachKindHasItsNamespace(t *testing.T) {
	for _, k := range Kinds() {
		dir, spec := makeExample(t, k, Options{})
		if !slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return string(n.Type) == k }) {
			t.Errorf("example %s has no namespace of that type", k)
		}
		if info, err := os.Stat(filepath.Join(dir, spec.Root.Path, spec.Process.Args[0])); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("example %s: program %s: %v, %v", k, spec.Process.Args[0], info, err)
		}
	}
}

func TestHostNamespacesAreTold(t *testing.T) {
	link, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Skip(err)
	}
	_, spec := makeExample(t, "uts", Options{})
	want := "HOST_NS_UTS=" + strings.Trim(strings.TrimPrefix(link, "uts:"), "[]")
	if !slices.Contains(spec.Process.Env, want) {
		t.Errorf("environment is %q, want %s in it", spec.Process.Env, want)
	}
}

func TestMapToChangesSingleIdsOnly(t *testing.T) {
	o := Options{MapTo: &User{UID: 1234, GID: 5678}}
	_, rootless := makeExample(t, "rootless", o)
	if u, g := rootless.Linux.UIDMappings[0].HostID, rootless.Linux.GIDMappings[0].HostID; u != 1234 || g != 5678 {
		t.Errorf("rootless is mapped to %d:%d, want 1234:5678", u, g)
	}
	_, user := makeExample(t, "user", o)
	if u := user.Linux.UIDMappings[0].HostID; u != 100000 {
		t.Errorf("user is mapped to %d, want 100000 as in the file", u)
	}
}

func TestEachExampleIsExplained(t *testing.T) {
	found, err := filepath.Glob("*/config.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(Kinds())+2 {
		t.Errorf("there are %d examples, want one for each kind and two more", len(found))
	}
	for _, f := range found {
		if _, err := os.Stat(filepath.Join(filepath.Dir(f), "README.md")); err != nil {
			t.Error(err)
		}
	}
}
