package resources

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// An ordinary user who may not make cgroups gets containers without one. What needs one says
// so, and all else works.
func TestWithoutCgroup(t *testing.T) {
	need.Root(t)
	need.UserNamespaces(t)
	need.Feature(t, "cgroupfs", !systemd(), "this user has no systemd")
	const user = 12345
	r := lab.NewAs(t, user)
	c := r.Launch(shell(t, ticker, lab.UserNamespace(0, user, 1)).Chown(user, user))
	c.Says("child")
	data, err := os.ReadFile("/proc/" + itoa(c.Pid) + "/cgroup")
	must(t, err)
	ours, err := os.ReadFile("/proc/self/cgroup")
	must(t, err)
	need.Feature(t, "no delegation", string(data) == string(ours), "this user may make cgroups")
	r.Do("pause", c.ID).Failed("cannot pause container "+c.ID, "no cgroup of its own")
	r.Do("resume", c.ID).Failed("container not paused")
	r.Do("update", "--pids-limit", "5", c.ID).Failed("cannot update container "+c.ID, "pids.limit", "no cgroup of its own")
	r.Do("events", "--stats", c.ID).Failed("no cgroup of its own")
	var pids []int
	must(t, json.Unmarshal([]byte(r.Do("ps", "--format", "json", c.ID).OK().Stdout), &pids))
	if len(pids) < 2 || !slices.Contains(pids, c.Pid) {
		t.Errorf("ps says %v, init is %d", pids, c.Pid)
	}
	goesOn(t, c)
	r.Do("kill", "--all", c.ID, "TERM").OK() // the child does not catch it
	c.Says("term")
	if !lab.Eventually(func() bool {
		n := strings.Count(c.Stdout(), "child")
		time.Sleep(100 * time.Millisecond)
		return strings.Count(c.Stdout(), "child") == n
	}) {
		t.Error("the child goes on")
	}
	status(t, c, "running")
	c.Kill("KILL").OK()
	c.Wait()
	c.Delete().OK()
	r.NothingLeft()
}

// Limits that cannot be had are refused before anything is made.
func TestLimitsWithoutCgroup(t *testing.T) {
	need.Root(t)
	need.UserNamespaces(t)
	need.Feature(t, "cgroupfs", !systemd(), "this user has no systemd")
	const user = 12345
	r := lab.NewAs(t, user)
	b := shell(t, forever, lab.UserNamespace(0, user, 1), limits(pids(5))).Chown(user, user)
	r.CreateFails(b, "rootless needs no limits + no cgrouppath when no permission is granted for cgroups")
}

// Device rules alone are no reason to refuse: engines always send them, and an ordinary user
// can make no device to be kept from.
func TestDeviceRulesWithoutCgroup(t *testing.T) {
	need.Root(t)
	need.UserNamespaces(t)
	need.Feature(t, "cgroupfs", !systemd(), "this user has no systemd")
	const user = 12345
	r := lab.NewAs(t, user)
	r.Run(shell(t, "exit 0", lab.UserNamespace(0, user, 1), limits(&specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}},
	})).Chown(user, user)).OK()
}
