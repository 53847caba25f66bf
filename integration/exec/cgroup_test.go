package exec

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// The process is in the container's cgroups, and in no other; with --cgroup in one below.
func TestCgroups(t *testing.T) {
	s := asRoot(t)
	c := s.launch(t)
	groups := func(flags ...string) string { return strings.Join(s.look(t, c, flags...).Cgroups, "\n") }
	var first []string
	for line := range strings.Lines(read(t, fmt.Sprintf("/proc/%d/cgroup", c.Pid))) {
		first = append(first, strings.TrimSuffix(line, "\n"))
	}
	inside := s.exec(c, nil, "/inside", "read", "/proc/1/cgroup").OK().Stdout
	if got := groups(); got+"\n" != inside {
		t.Errorf("groups are\n%s\nthose of the first process\n%s", got, inside)
	}
	if len(first) == 1 {
		unified(t, s, c, "/sys/fs/cgroup"+strings.TrimPrefix(first[0], "0::"))
		return
	}
	dir := groupDir(t, first, "pids")
	must(t, os.Mkdir(dir+"/below", 0o755))
	t.Cleanup(func() { _ = os.Remove(dir + "/below") })
	if got := groups("--cgroup", "pids:below"); !strings.Contains(got, "pids:/below") {
		t.Errorf("groups are %s", got)
	}
	for arg, words := range map[string]string{
		"pids:../x": "bad sub cgroup path", "../../..": "bad sub cgroup path", "pids:../" + c.ID + "x": "bad sub cgroup path",
		"pids:nope": " adding pid ", "nope": " adding pid ", "nope:/": "unknown controller", ":x": "(empty <controller> prefix)",
		"pids:a:b": "invalid --cgroup argument",
	} {
		fails(t, s.exec(c, []string{"--cgroup", arg}, "/inside"), words)
	}
	fails(t, s.exec(c, []string{"--cgroup", "pids:/", "--cgroup", "x"}, "/inside"), "(missing <controller>: prefix)")
	fails(t, s.exec(c, []string{"--cgroup", "pids,pids:/"}, "/inside"), "specified multiple times")
	s.exec(c, []string{"--cgroup", "/"}, "/inside", "pid").OK()
	s.exec(c, []string{"--cgroup", "pids,memory:/"}, "/inside", "pid").OK()
}

// unified is the rest of TestCgroups where there is one hierarchy.
func unified(t *testing.T, s stance, c *lab.Container, dir string) {
	group := func(flags ...string) string { return strings.Join(s.look(t, c, flags...).Cgroups, "\n") }
	must(t, os.Mkdir(dir+"/below", 0o755))
	t.Cleanup(func() { _ = os.Remove(dir + "/below") })
	if got := group("--cgroup", "below"); got != "0::/below" {
		t.Errorf("group is %s", got)
	}
	if got := group("--cgroup", "/below/../below"); got != "0::/below" {
		t.Errorf("group is %s", got)
	}
	for arg, words := range map[string]string{
		"../x": "bad sub cgroup path", "../../..": "bad sub cgroup path", "../" + c.ID + "x": "bad sub cgroup path",
		"nope": " adding pid ", "pids:/": "unknown controller", ":x": "(empty <controller> prefix)",
	} {
		fails(t, s.exec(c, []string{"--cgroup", arg}, "/inside"), words)
	}
	// A group that passes controllers on holds no processes; then the process is where the
	// first one is.
	must(t, os.WriteFile(dir+"/below/cgroup.procs", []byte(fmt.Sprint(c.Pid)), 0o644))
	must(t, os.WriteFile(dir+"/cgroup.subtree_control", []byte("+pids"), 0o644))
	if got := group(); got != "0::/below" {
		t.Errorf("group is %s", got)
	}
	fails(t, s.exec(c, []string{"--cgroup", "/"}, "/inside"), "passes controllers on")
}

func groupDir(t *testing.T, lines []string, controller string) string {
	t.Helper()
	for _, line := range lines {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) == 3 && parts[1] == controller {
			return "/sys/fs/cgroup/" + controller + parts[2]
		}
	}
	need.Feature(t, controller, false, fmt.Sprintf("there is no cgroup v1 hierarchy %s: %q", controller, lines))
	return ""
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}
