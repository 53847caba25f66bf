package systemd

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func TestScope(t *testing.T) {
	r := onBench(t)
	c := create(t, r, bundle(t))
	unit := "ocirt-" + c.ID + ".scope"
	for name, want := range map[string]string{
		"ActiveState": "active", "Slice": slice(), "Delegate": "yes", "DefaultDependencies": "no", "Transient": "yes",
		"Description": "ocirt container " + c.ID, "CollectMode": "inactive-or-failed",
	} {
		if got := property(t, unit, name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	group := home() + "/" + slice() + "/" + unit
	if got := cgroupOf(t, c.Pid); got != group {
		t.Errorf("init is in %q, not in %q", got, group)
	}
	c.Start()
	if got := cgroupOf(t, c.Pid); got != group {
		t.Errorf("the process is in %q, not in %q", got, group)
	}
	c.Delete("--force").OK()
	noUnit(t, unit)
}

func TestPlaces(t *testing.T) {
	// Slices stay when their last unit goes; they are systemd's.
	t.Cleanup(func() { _, _ = tool(t, "systemctl", "stop", "ocirt.slice") })
	id := "p" + itoa(os.Getpid())
	dotted := "_memory." + id + ".scope"
	if versionOf(t) < 254 { // it went by the last dot
		dotted = dotted[1:]
	}
	for given, want := range map[string][2]string{
		"ocirt-test-deep.slice:pre:" + id: {"/ocirt.slice/ocirt-test.slice/ocirt-test-deep.slice", "pre-" + id + ".scope"},
		":pre:" + id + "2":                {"/" + slice(), "pre-" + id + "2.scope"},
		"ocirt.slice::" + id + "+x":       {"/ocirt.slice", id + `\x2bx.scope`},
		"-.slice::" + id + "3":            {"", id + "3.scope"},
		"ocirt.slice::memory." + id:       {"/ocirt.slice", dotted},
	} {
		t.Run(given, func(t *testing.T) {
			r := onBench(t)
			c := create(t, r, bundle(t, path(given)))
			if got := cgroupOf(t, c.Pid); got != home()+want[0]+"/"+want[1] {
				t.Errorf("init is in %q, not in %q", got, home()+want[0]+"/"+want[1])
			}
			c.Delete("--force").OK()
			noUnit(t, strings.TrimPrefix(want[1], "_"))
		})
	}
}

func TestSliceAsUnit(t *testing.T) {
	t.Cleanup(func() { _, _ = tool(t, "systemctl", "stop", "ocirt.slice") })
	r := onBench(t)
	name := "ocirt-s" + itoa(os.Getpid()) + ".slice"
	c := create(t, r, bundle(t, path("ocirt.slice::"+name)))
	if got, want := cgroupOf(t, c.Pid), home()+"/ocirt.slice/"+name; got != want {
		t.Errorf("init is in %q, not in %q", got, want)
	}
	c.Delete("--force").OK()
	noUnit(t, name)
}

func TestAnnotations(t *testing.T) {
	r := onBench(t)
	c := create(t, r, bundle(t, func(s *specs.Spec) {
		s.Annotations = map[string]string{
			"org.systemd.property.TimeoutStopSec": "1.5",
			"org.systemd.property.KillSignal":     "2",
			"org.systemd.property.Description":    "'another one'",
			"org.systemd.property.After":          "['ocirt-test-other.target']",
		}
	}))
	unit := "ocirt-" + c.ID + ".scope"
	for name, want := range map[string]string{"TimeoutStopUSec": "1.500000s", "KillSignal": "2", "Description": "another one"} {
		if got := property(t, unit, name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if got := property(t, unit, "After"); !strings.Contains(got, "ocirt-test-other.target") {
		t.Errorf("After is %q", got)
	}
	c.Delete("--force").OK()
}

func TestBadConfigurations(t *testing.T) {
	r := onBench(t)
	t.Setenv(lab.Flags, "--systemd-cgroup")
	annotation := func(key, value string) lab.Edit {
		return func(s *specs.Spec) { s.Annotations = map[string]string{"org.systemd.property." + key: value} }
	}
	for want, edit := range map[string]lab.Edit{
		"value parse error":               annotation("TimeoutStopUSec", "uint64 x"),
		"not an allowed property":         annotation("ExecStartPre", "'x'"),
		"expected slice:prefix:name":      path("/a"),
		"invalid slice name":              path("--x.slice:p:n"),
		"at most 255 are possible":        path("a.slice:p:" + strings.Repeat("n", 250)),
		"cannot start unit":               annotation("TimeoutStopUSec", "'text'"), // systemd itself refuses
		"must not be the root":            path("a.slice:p:-.slice"),
		"lies in ocirt-a.slice, not in b": path("b.slice:p:ocirt-a-c.slice"),
	} {
		r.CreateFails(bundle(t, edit), want)
	}
}

func TestNoSystemdToAsk(t *testing.T) {
	r := onBench(t)
	r.Env = append(r.Env, "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent", "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent", "XDG_RUNTIME_DIR=/nonexistent")
	t.Setenv(lab.Flags, "--systemd-cgroup")
	r.CreateFails(bundle(t), "--systemd-cgroup: cannot reach", "/nonexistent")
}

// The user's systemd is found without any help of the environment, as in the environment
// that conmon gives.
func TestBareEnvironment(t *testing.T) {
	r := onBench(t)
	var env []string
	for _, e := range r.Env {
		if !strings.HasPrefix(e, "DBUS_") && !strings.HasPrefix(e, "XDG_") {
			env = append(env, e)
		}
	}
	r.Env = env
	create(t, r, bundle(t)).Delete("--force").OK()
}

func TestExecIsInTheUnit(t *testing.T) {
	r := onBench(t)
	c := create(t, r, bundle(t, lab.Without(specs.CgroupNamespace))).Start()
	res := r.Do("exec", c.ID, "/inside", "read", "/proc/self/cgroup")
	if !strings.Contains(res.OK().Stdout, "ocirt-"+c.ID+".scope") {
		t.Errorf("exec is elsewhere: %s", res.Stdout)
	}
	c.Delete("--force").OK()
}
