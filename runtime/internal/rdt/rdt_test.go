package rdt

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// fake is a folder that looks like a resctrl file system, as far as this package can see,
// but for what a kernel does by itself: a folder that is made there stays empty.
func fake(t *testing.T, resources ...string) tree {
	t.Helper()
	dir := t.TempDir()
	for _, r := range resources {
		must(t, os.MkdirAll(filepath.Join(dir, "info", r), 0o755))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "mon_groups"), 0o755))
	files(t, dir)
	return tree(dir)
}

// files gives a folder what the kernel gives a group.
func files(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "mon_groups"), 0o755))
	for _, name := range []string{"tasks", "schemata"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	must(t, err)
	return string(b)
}

// prepare is the step of a container that asks for c.
func prepare(id string, c *specs.LinuxIntelRdt) PrepareGroup {
	var s PrepareGroup
	in := &step.Input{ID: id, Bundle: &spec.Bundle{Spec: &specs.Spec{Linux: &specs.Linux{IntelRdt: c}}}}
	_ = Groups(in, func(_ string, st step.Step) { s = st.(PrepareGroup) })
	return s
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		config specs.LinuxIntelRdt
		want   Place
	}{
		{specs.LinuxIntelRdt{}, Place{"demo", true, ""}},
		{specs.LinuxIntelRdt{EnableMonitoring: true}, Place{"demo", true, "demo"}},
		{specs.LinuxIntelRdt{ClosID: "gold"}, Place{"gold", false, ""}},
		{specs.LinuxIntelRdt{ClosID: "/"}, Place{"", false, ""}},
		{specs.LinuxIntelRdt{ClosID: "/", EnableMonitoring: true}, Place{"", false, "demo"}},
	} {
		if got := PlaceOf("demo", &c.config); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.config, got, c.want)
		}
	}
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		config specs.LinuxIntelRdt
		want   []string
	}{
		{specs.LinuxIntelRdt{}, nil},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=20"}, []string{"L3:0=f", "MB:0=20"}},
		{specs.LinuxIntelRdt{Schemata: []string{"L2:0=1"}, MemBwSchema: "MB:0=20"}, []string{"MB:0=20", "L2:0=1"}},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f\nMB:0=30", MemBwSchema: "MB:0=20"}, []string{"L3:0=f", "MB:0=20"}},
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f\nMB:0=30"}, []string{"L3:0=f", "MB:0=30"}},
	} {
		if got := linesOf(&c.config); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.config, got, c.want)
		}
	}
}

// A group of the container's own is made, and removed by whoever comes first: a failed
// create, or delete by what was recorded before.
func TestOwnGroup(t *testing.T) {
	tr := fake(t)
	c := &specs.LinuxIntelRdt{}
	if got, want := intent(tr, "demo", c), []string{tr.path("demo")}; !slices.Equal(got, want) {
		t.Errorf("intent is %q, want %q", got, want)
	}
	h := &step.Host{}
	must(t, prepare("demo", c).do(tr, h))
	if got, want := h.ResctrlMade, []string{tr.path("demo")}; !slices.Equal(got, want) {
		t.Errorf("made %q, want %q", got, want)
	}
	if got := intent(tr, "demo", c); len(got) > 0 {
		t.Errorf("intent is %q of a group that is there", got)
	}
	for range 2 { // it must accept that it ran
		must(t, prepare("demo", c).Undo(h))
	}
	if _, err := os.Stat(tr.path("demo")); err == nil {
		t.Error("the group is still there")
	}
}

// A group that is there is used as it is, and not removed.
func TestForeignGroupStays(t *testing.T) {
	for _, c := range []specs.LinuxIntelRdt{{ClosID: "gold"}, {ClosID: "/"}, {}} {
		tr := fake(t)
		for _, dir := range []string{"gold", "demo"} {
			files(t, tr.path(dir))
		}
		h := &step.Host{}
		s := prepare("demo", &c)
		must(t, s.do(tr, h))
		if len(h.ResctrlMade) > 0 || len(intent(tr, "demo", &c)) > 0 {
			t.Errorf("%+v: made %q, intent %q", c, h.ResctrlMade, intent(tr, "demo", &c))
		}
		must(t, s.Undo(h))
		if _, err := os.Stat(s.Place.dir(tr)); err != nil {
			t.Error(err)
		}
	}
}

func TestMissingClass(t *testing.T) {
	err := prepare("demo", &specs.LinuxIntelRdt{ClosID: "gold"}).do(fake(t), &step.Host{})
	if err == nil || err.Error() != "there is no resource group gold, and no schema to make it with" {
		t.Errorf("got %v", err)
	}
}

func TestUnavailable(t *testing.T) {
	for _, c := range []struct {
		config    specs.LinuxIntelRdt
		resources []string
		want      error
	}{
		{specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f"}, []string{"MB"}, errNoL3},
		{specs.LinuxIntelRdt{MemBwSchema: "MB:0=20"}, []string{"L3"}, errNoMB},
	} {
		tr := fake(t, c.resources...)
		h := &step.Host{}
		if err := prepare("demo", &c.config).do(tr, h); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.config, err, c.want)
		}
		if _, err := os.Stat(tr.path("demo")); err == nil {
			t.Errorf("%+v: a group was made", c.config)
		}
	}
}

// In a group of the container's own the lines are written one by one, in their order.
func TestSchemata(t *testing.T) {
	tr := fake(t, "L3", "MB")
	files(t, tr.path("demo"))
	pipe := tr.path("demo", "schemata")
	must(t, os.Remove(pipe))
	must(t, unix.Mkfifo(pipe, 0o600))
	f, err := os.OpenFile(pipe, os.O_RDWR, 0) // so that no writer waits for a reader
	must(t, err)
	defer f.Close()
	s := prepare("demo", &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=20", Schemata: []string{"L2:0=1"}})
	must(t, s.do(tr, &step.Host{}))
	b := make([]byte, 1024)
	n, err := f.Read(b)
	must(t, err)
	if got := string(b[:n]); got != "L3:0=f\nMB:0=20\nL2:0=1\n" {
		t.Errorf("schemata are %q", got)
	}
	if got := content(t, tr.path("schemata")); got != "" {
		t.Errorf("the default group has %q", got)
	}
}

func TestMatching(t *testing.T) {
	const there = "    MB:0=100;1= 70\n    L3:0=007F0;1=0001f\nL2:0=ff\n"
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{[]string{"L3:0=7f0;1=1f"}, ""},
		{[]string{"L3:1=1F"}, ""},
		{[]string{"L3:0=7f0", "MB:1=70;0=100"}, ""},
		{[]string{"L3:0=7f0;1=f"}, `L3 of domain 1 is "1f", not "f"`},
		{[]string{"L3:2=1"}, `L3 of domain 2 is "", not "1"`},
		{[]string{"SMBA:0=1"}, `SMBA of domain 0 is "", not "1"`},
		{[]string{"L2:0=0"}, `L2 of domain 0 is "ff", not "0"`},
	} {
		tr := fake(t, "L3", "MB")
		files(t, tr.path("gold"))
		must(t, os.WriteFile(tr.path("gold", "schemata"), []byte(there), 0o644))
		err := prepare("demo", &specs.LinuxIntelRdt{ClosID: "gold", Schemata: c.lines}).do(tr, &step.Host{})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.lines, err)
		case c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)):
			t.Errorf("%q: %v, want %s", c.lines, err, c.want)
		}
		if got := content(t, tr.path("gold", "schemata")); got != there {
			t.Errorf("%q: the caller's group was changed to %q", c.lines, got)
		}
	}
	for _, line := range []string{"L3", "L3:0"} {
		if err := (schema{}).parse(line); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
}

func TestAssign(t *testing.T) {
	tr := fake(t)
	files(t, tr.path("demo"))
	files(t, tr.path("demo", "mon_groups", "demo"))
	must(t, AssignInit{Place{"demo", true, "demo"}}.do(tr, &step.Host{Pid: 4711}))
	for _, dir := range []string{tr.path("demo"), tr.path("demo", "mon_groups", "demo")} {
		if got := content(t, dir, "tasks"); got != "4711\n" {
			t.Errorf("%s has %q", dir, got)
		}
	}
	if got := content(t, string(tr), "tasks"); got != "" {
		t.Errorf("the default group has %q", got)
	}
}

func TestMonitoring(t *testing.T) {
	tr := fake(t)
	c := &specs.LinuxIntelRdt{ClosID: "/", EnableMonitoring: true}
	h := &step.Host{}
	want := []string{tr.path("mon_groups", "demo")}
	if got := intent(tr, "demo", c); !slices.Equal(got, want) {
		t.Errorf("intent is %q", got)
	}
	must(t, prepare("demo", c).do(tr, h))
	if !slices.Equal(h.ResctrlMade, want) {
		t.Errorf("made %q, want %q", h.ResctrlMade, want)
	}
	must(t, remove(h.ResctrlMade))
	if _, err := os.Stat(want[0]); err == nil {
		t.Error("the monitoring group is still there")
	}
}

// exec's process moves itself.
func TestJoin(t *testing.T) {
	tr := fake(t)
	files(t, tr.path("demo"))
	var p entry.Program
	JoinGroup{Place{"demo", true, ""}}.lower(tr, &p)
	p.Exit(0)
	pid, err := p.Start([]*os.File{os.Stdin, os.Stdout, os.Stderr}, nil)
	must(t, err)
	proc, err := os.FindProcess(pid)
	must(t, err)
	state, err := proc.Wait()
	must(t, err)
	if got := content(t, tr.path("demo", "tasks")); got != "0" || !state.Success() {
		t.Errorf("tasks is %q, %v", got, state)
	}
}

func TestUpdate(t *testing.T) {
	tr := fake(t, "L3", "MB")
	files(t, tr.path("demo"))
	config, made, err := update(tr, Change{ID: "demo", Config: &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", Schemata: []string{"L2:0=1"}}, MemBandwidth: "MB:0=50"})
	must(t, err)
	if len(made) > 0 || config.MemBwSchema != "MB:0=50" || config.L3CacheSchema != "L3:0=f" || len(config.Schemata) != 1 {
		t.Errorf("made %q, config %+v", made, config)
	}
	if got := content(t, tr.path("demo", "schemata")); got != "MB:0=50\n" {
		t.Errorf("schemata are %q", got)
	}
	if _, _, err := update(fake(t, "MB"), Change{ID: "demo", L3Cache: "L3:0=1"}); !errors.Is(err, errNoL3) {
		t.Errorf("got %v", err)
	}
	if _, _, err := update(fake(t, "L3"), Change{ID: "demo", MemBandwidth: "MB:0=1"}); !errors.Is(err, errNoMB) {
		t.Errorf("got %v", err)
	}
	if config, made, err := Update(Change{ID: "demo"}); config != nil || made != nil || err != nil {
		t.Errorf("got %+v, %q, %v for no change", config, made, err)
	}
}

// A group that was made for a change that failed goes again.
func TestUpdateFails(t *testing.T) {
	tr := fake(t, "L3")
	// The folder has no file schemata, as no kernel stands behind it.
	_, made, err := update(tr, Change{ID: "demo", L3Cache: "L3:0=1"})
	if err == nil || len(made) > 0 {
		t.Errorf("made %q, %v", made, err)
	}
	if _, err := os.Stat(tr.path("demo")); err == nil {
		t.Error("the group is still there")
	}
}

func TestHolds(t *testing.T) {
	tr := tree("/sys/fs/resctrl")
	for dir, want := range map[string]bool{
		"/sys/fs/resctrl/demo": true, "/sys/fs/resctrl/mon_groups/demo": true, "/sys/fs/resctrl/gold/mon_groups/demo": true,
		"/sys/fs/resctrl": false, "/sys/fs/resctrl/info": false, "/sys/fs/resctrl/mon_data": false, "/sys/fs/resctrl/mon_groups": false,
		"/sys/fs/resctrl/../cgroup/x": false, "/sys/fs/resctrl/a/b": false, "/etc": false, "": false, "/sys/fs/resctrl/a/mon_data/x": false,
	} {
		if got := tr.holds(dir); got != want {
			t.Errorf("%q: %v", dir, got)
		}
	}
}

func TestMountinfo(t *testing.T) {
	for line, want := range map[string]string{
		"36 35 0:31 / /sys/fs/resctrl rw,relatime shared:1 - resctrl resctrl rw":   "/sys/fs/resctrl",
		`36 35 0:31 / /mnt/a\040b rw,relatime - resctrl none rw`:                   "/mnt/a b",
		"36 35 0:31 /demo /mnt rw,relatime - resctrl none rw":                      "",
		"36 35 0:31 / /sys/fs/cgroup rw,relatime shared:1 - cgroup2 cgroup2 rw":    "",
		"36 35 0:31 / /sys/fs/resctrl":                                             "",
		"36 35 0:31 / /mnt/resctrl rw,relatime shared:1 master:2 - tmpfs tmpfs rw": "",
	} {
		if got, ok := resctrlMount(line); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", line, got, ok)
		}
	}
}

// What the kernel said about a request that it refused is in the error.
func TestExplain(t *testing.T) {
	tr := fake(t, "L3")
	must(t, os.WriteFile(tr.path("info", "last_cmd_status"), []byte("Mask out of range\n"), 0o644))
	if err := tr.explain(errors.New("invalid argument")); err.Error() != "invalid argument: Mask out of range" {
		t.Errorf("got %v", err)
	}
	must(t, os.WriteFile(tr.path("info", "last_cmd_status"), []byte("ok\n"), 0o644))
	if err := tr.explain(errors.New("invalid argument")); err.Error() != "invalid argument" {
		t.Errorf("got %v", err)
	}
}

func TestCompile(t *testing.T) {
	in := &step.Input{ID: "demo", Bundle: &spec.Bundle{Spec: &specs.Spec{Linux: &specs.Linux{}}}}
	for _, part := range []func(*step.Input, step.Emit) error{Groups, Assign, Join} {
		must(t, part(in, func(string, step.Step) { t.Error("a step for nothing") }))
	}
	in.Bundle.Spec.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "/", EnableMonitoring: true}
	var got []string
	for _, part := range []func(*step.Input, step.Emit) error{Groups, Assign, Join} {
		must(t, part(in, func(from string, s step.Step) { got = append(got, s.String()) }))
	}
	want := []string{"prepare the default resource group and monitoring group demo", "move init to the default resource group", "join the default resource group"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
