package systemd

import (
	"strings"
	"testing"
)

func TestNewUnit(t *testing.T) {
	for _, c := range []struct {
		path, id string
		user     bool
		name     string
		slice    string
		dir      string
	}{
		{"", "demo", false, "ocirt-demo.scope", "system.slice", "/system.slice/ocirt-demo.scope"},
		{"", "demo", true, "ocirt-demo.scope", "user.slice", "/user.slice/ocirt-demo.scope"},
		{"machine.slice:libpod:abc", "x", false, "libpod-abc.scope", "machine.slice", "/machine.slice/libpod-abc.scope"},
		{"a-b-c.slice:p:n", "x", false, "p-n.scope", "a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice/p-n.scope"},
		{":p:n", "x", true, "p-n.scope", "user.slice", "/user.slice/p-n.scope"},
		{"x.slice::n", "x", false, "n.scope", "x.slice", "/x.slice/n.scope"},
		{"-.slice:p:n", "x", false, "p-n.scope", "-.slice", "/p-n.scope"},
		{"x.slice::memory", "x", false, "memory.scope", "x.slice", "/x.slice/_memory.scope"},
		{"x.slice::_a", "x", false, "_a.scope", "x.slice", "/x.slice/__a.scope"},
		{"cpu.slice:p:n", "x", false, "p-n.scope", "cpu.slice", "/_cpu.slice/p-n.scope"},
		{"", "a+b", false, `ocirt-a\x2bb.scope`, "system.slice", `/system.slice/ocirt-a\x2bb.scope`},
		{
			"kubepods-pod1.slice:cri-containerd:0f", "x", false, "cri-containerd-0f.scope", "kubepods-pod1.slice",
			"/kubepods.slice/kubepods-pod1.slice/cri-containerd-0f.scope",
		},
		{"a.slice:p:a-b.slice", "x", false, "a-b.slice", "a.slice", "/a.slice/a-b.slice"},
		{":p:a-b.slice", "x", false, "a-b.slice", "a.slice", "/a.slice/a-b.slice"},
		{":p:a.slice", "x", false, "a.slice", "-.slice", "/a.slice"},
	} {
		u, err := NewUnit(c.path, c.id, c.user)
		if err != nil || u.Name != c.name || u.Slice != c.slice || u.Dir(0) != c.dir {
			t.Errorf("%q, %q: %+v in %s, %v", c.path, c.id, u, u.Dir(0), err)
		}
	}
}

// What a name needs "_" for has changed.
func TestDirOfOldSystemd(t *testing.T) {
	for path, want := range map[string][2]string{
		"::memory":       {"/system.slice/_memory.scope", "/system.slice/_memory.scope"},
		"::memory.x":     {"/system.slice/_memory.x.scope", "/system.slice/memory.x.scope"},
		"::cgroup.x":     {"/system.slice/_cgroup.x.scope", "/system.slice/_cgroup.x.scope"},
		"::x.memory":     {"/system.slice/x.memory.scope", "/system.slice/x.memory.scope"},
		"io.slice::x":    {"/_io.slice/x.scope", "/_io.slice/x.scope"},
		"io.a.slice::_x": {"/_io.a.slice/__x.scope", "/io.a.slice/__x.scope"},
	} {
		u, err := NewUnit(path, "x", false)
		if err != nil {
			t.Fatal(err)
		}
		if u.Dir(254) != want[0] || u.Dir(0) != want[0] || u.Dir(253) != want[1] {
			t.Errorf("%s: %s, %s, %s", path, u.Dir(254), u.Dir(0), u.Dir(253))
		}
	}
}

func TestBadUnits(t *testing.T) {
	for path, want := range map[string]string{
		"/a":                                "expected slice:prefix:name",
		"a:b":                               "expected slice:prefix:name",
		"a.slice:b:":                        "expected slice:prefix:name",
		"a.slice:b:c:d":                     "expected slice:prefix:name",
		"--x.slice:p:n":                     "invalid slice name",
		".slice:p:n":                        "invalid slice name",
		"a-b.slice/..:p:n":                  "invalid slice name",
		"a:p:n":                             "invalid slice name",
		"a b.slice:p:n":                     "invalid slice name",
		"a.slice:p:n/m":                     "invalid name",
		"a.slice:p:-.slice":                 "must not be the root",
		"b.slice:p:a-b.slice":               "lies in a.slice, not in b.slice",
		"a.slice:p:a--b.slice":              "invalid slice name",
		"a.slice:p:" + long("n", 300):       "at most 255",
		"a.slice:p:" + long("+", 80):        "at most 255",
		long("a", 260) + ".slice:p:n":       "invalid slice name",
		"a.slice:p:" + long("a", 250) + "b": "at most 255",
	} {
		u, err := NewUnit(path, "x", false)
		if err == nil || !strings.HasPrefix(err.Error(), "linux.cgroupsPath: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %+v, error %v", path, u, err)
		}
	}
	if _, err := NewUnit("", long("a", 300), false); err == nil {
		t.Error("an id of 300 bytes has a unit")
	}
}

func long(s string, n int) string { return strings.Repeat(s, n) }
