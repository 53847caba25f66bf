package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func TestMain(m *testing.M) { lab.Main(m) }

// onBench puts the runtime there.
func onBench(t *testing.T) *lab.Runtime {
	t.Helper()
	need.Systemd(t)
	if os.Geteuid() != 0 {
		need.UserNamespaces(t)
	}
	r := lab.New(t)
	t.Setenv(lab.Flags, "")
	return r
}

// bundle makes a bundle that the tests' user can run.
func bundle(t *testing.T, edits ...lab.Edit) *lab.Bundle {
	t.Helper()
	all := []lab.Edit{lab.Args("/inside", "sleep", "forever")}
	if uid := os.Geteuid(); uid != 0 {
		all = append(all, lab.UserNamespace(0, uint32(uid), 1))
	}
	return lab.NewBundle(t, append(all, edits...)...)
}

func limits(r specs.LinuxResources) lab.Edit {
	return func(s *specs.Spec) { s.Linux.Resources = &r }
}

func path(p string) lab.Edit { return func(s *specs.Spec) { s.Linux.CgroupsPath = p } }

// create makes a container with its unit. All other commands go without the flag.
func create(t *testing.T, r *lab.Runtime, b *lab.Bundle) *lab.Container {
	t.Helper()
	t.Setenv(lab.Flags, "--systemd-cgroup")
	defer t.Setenv(lab.Flags, "")
	c := r.Create(b)
	if !lab.Eventually(func() bool { return cgroupOf(t, c.Pid) != "" }) {
		t.Fatal("it is in no cgroup")
	}
	return c
}

// tool runs systemctl or another tool of systemd, of the right instance.
func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	if os.Geteuid() != 0 {
		args = append([]string{"--user"}, args...)
	}
	out, err := exec.Command(need.Tool(t, name), args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// property is what systemd says of a unit.
func property(t *testing.T, unit, name string) string {
	t.Helper()
	out, err := tool(t, "systemctl", "show", unit, "--value", "-p", name)
	if err != nil {
		t.Fatalf("systemctl show %s: %v: %s", unit, err, out)
	}
	return out
}

// noUnit checks that systemd knows nothing of a unit, not even that it failed.
func noUnit(t *testing.T, unit string) {
	t.Helper()
	if !lab.Eventually(func() bool {
		return property(t, unit, "ActiveState") == "inactive" && property(t, unit, "Transient") == "no"
	}) {
		t.Errorf("unit %s is left: %s", unit, property(t, unit, "ActiveState"))
	}
}

// cgroupOf is the v2 group of a process, or that of systemd's own hierarchy.
func cgroupOf(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	group := ""
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if f[1] == "name=systemd" {
			return f[2]
		}
		if f[1] == "" {
			group = f[2]
		}
	}
	return group
}

// groupDir is where that group is, in a hierarchy of version 1 or in that of version 2.
func groupDir(t *testing.T, pid int, controller string) string {
	t.Helper()
	top := "/sys/fs/cgroup"
	if !exists(top + "/cgroup.controllers") {
		top += "/" + controller
	}
	return top + cgroupOf(t, pid)
}

// slice is where units lie by default, and home the group that the instance has.
func slice() string {
	if os.Geteuid() == 0 {
		return "system.slice"
	}
	return "user.slice"
}

func home() string {
	if uid := strconv.Itoa(os.Geteuid()); uid != "0" {
		return "/user.slice/user-" + uid + ".slice/user@" + uid + ".service"
	}
	return ""
}

// wantFile checks a file of a v2 group.
func wantFile(t *testing.T, group, file, want string) {
	t.Helper()
	needV2(t)
	text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", group, file))
	if err != nil || strings.TrimSpace(string(text)) != want {
		t.Errorf("%s is %q (%v), not %s", file, text, err, want)
	}
}

func needV2(t *testing.T) {
	t.Helper()
	need.Feature(t, "cgroup2", exists("/sys/fs/cgroup/cgroup.controllers"), "no pure cgroup v2")
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

// reload makes systemd read its configuration again, and gives it the time to act upon it.
func reload(t *testing.T) {
	t.Helper()
	if out, err := tool(t, "systemctl", "daemon-reload"); err != nil {
		t.Fatalf("daemon-reload: %v: %s", err, out)
	}
	time.Sleep(200 * time.Millisecond)
}
