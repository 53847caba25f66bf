package resources

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// A change is an update of one property, and what the container's groups hold from then on.
type change struct {
	flags      []string // of update; or
	json       string   // --resources
	controller string
	v1, v2     string // files; an empty one: this version has none
	want1      string
	want2      string
}

// changes are all properties that any host has, each changed on its own.
func changes() []change {
	return []change{
		{[]string{"--memory", "64M", "--memory-swap", "96M"}, "", "memory", "memory.limit_in_bytes", "memory.max", "67108864", "67108864"},
		{[]string{"--memory-reservation", "16M"}, "", "memory", "memory.soft_limit_in_bytes", "memory.low", "16777216", "16777216"},
		{nil, `{"memory":{"swappiness":11}}`, "memory", "memory.swappiness", "", "11", ""},
		{[]string{"--memory", "80M"}, "", "memory", "memory.limit_in_bytes", "memory.max", "83886080", "83886080"},
		{[]string{"--memory-swap", "128M"}, "", "memory", "memory.memsw.limit_in_bytes", "memory.swap.max", "134217728", "50331648"},
		{[]string{"--cpu-period", "50000", "--cpu-quota", "40000"}, "", "cpu", "cpu.cfs_quota_us", "cpu.max", "40000", "40000 50000"},
		{[]string{"--cpu-period", "100000"}, "", "cpu", "cpu.cfs_period_us", "cpu.max", "100000", "40000 100000"},
		{[]string{"--cpu-quota", "30000"}, "", "cpu", "cpu.cfs_quota_us", "cpu.max", "30000", "30000 100000"},
		{[]string{"--cpu-burst", "10000"}, "", "cpu", "cpu.cfs_burst_us", "cpu.max.burst", "10000", "10000"},
		{[]string{"--cpu-share", "512"}, "", "cpu", "cpu.shares", "cpu.weight", "512", "59"},
		{[]string{"--cpuset-cpus", "0"}, "", "cpuset", "cpuset.cpus", "cpuset.cpus", "0", "0"},
		{[]string{"--cpuset-mems", "0"}, "", "cpuset", "cpuset.mems", "cpuset.mems", "0", "0"},
		{[]string{"--pids-limit", "33"}, "", "pids", "pids.max", "pids.max", "33", "33"},
		{nil, `{"unified":{"memory.high":"50331648"}}`, "memory", "", "memory.high", "", "50331648"},
		{nil, `{"unified":{"memory.oom.group":"1"}}`, "memory", "", "memory.oom.group", "", "1"},
		{[]string{"--blkio-weight", "200"}, "", "blkio", "blkio.bfq.weight", "", "200", ""},
		{nil, `{"pids":{"limit":-1}}`, "pids", "pids.max", "pids.max", "max", "max"},
		{[]string{"--cpu-quota", "-1"}, "", "cpu", "cpu.cfs_quota_us", "cpu.max", "-1", "max 100000"},
	}
}

// An update of one property after the other: each does what it says, and nothing that was
// set before goes back to what it was.
func TestUpdateKeepsTheRest(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever, limits(&specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](32 * mib)},
		CPU:    &specs.LinuxCPU{Shares: ptr[uint64](100), Quota: ptr[int64](500000), Period: ptr[uint64](1000000)},
		Pids:   &specs.LinuxPids{Limit: ptr[int64](20)},
	})))
	c.Says("up")
	holds := map[string]string{} // by path
	done := 0
	for _, ch := range changes() {
		g := groupOf(t, c, map[bool]string{true: "io", false: ch.controller}[pureV2() && ch.controller == "blkio"])
		file, want := g.file(ch.v1, ch.v2), ch.want1
		if g.v2 {
			want = ch.want2
		}
		if file == "" || g.missing(file, file) || systemd() && file == "memory.oom.group" {
			continue // systemd takes that only when a unit starts, and writes it again with any other property
		}
		done++
		if ch.json != "" {
			update(r, c, ch.json).OK()
		} else {
			r.Do(append([]string{"update", c.ID}, ch.flags...)...).OK()
		}
		// A value replaces one that was set before; everything else stays.
		holds[filepath.Join(g.dir, file)] = want
		if !g.v2 && ch.v1 == "memory.limit_in_bytes" && len(ch.flags) == 4 {
			holds[filepath.Join(g.dir, "memory.memsw.limit_in_bytes")] = "100663296"
		}
		for path, want := range holds {
			data, err := os.ReadFile(path)
			must(t, err)
			if got := strings.TrimSpace(string(data)); got != want {
				t.Errorf("after %v%s %s holds %q, want %q", ch.flags, ch.json, path, got, want)
			}
		}
	}
	if done < 10 {
		t.Errorf("only %d properties could be tried", done)
	}
	// The period was never taken back with its quota, and what is set last counts after a
	// further update of nothing as well.
	update(r, c, `{}`).OK()
	for path, want := range holds {
		data, err := os.ReadFile(path)
		must(t, err)
		if got := strings.TrimSpace(string(data)); got != want {
			t.Errorf("after an update of nothing %s holds %q, want %q", path, got, want)
		}
	}
}

// An idle group has no weight: to give it one ends its idleness, and its weight comes back
// when it is idle no more.
func TestUpdateIdle(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever, limits(cpu(func(p *specs.LinuxCPU) { p.Shares = ptr[uint64](512) }))))
	g := groupOf(t, c, "cpu")
	need.Feature(t, "cpu.idle", !g.missing("cpu.idle", "cpu.idle"), "this kernel has no idle groups")
	set := func(flags ...string) lab.Result { return r.Do(append([]string{"update", c.ID}, flags...)...) }
	set("--cpu-idle", "1").OK()
	g.want("cpu.idle", "cpu.idle", "1", "1")
	set("--pids-limit", "50").OK()
	g.want("cpu.idle", "cpu.idle", "1", "1")
	set("--cpu-idle", "0").OK()
	g.want("cpu.idle", "cpu.idle", "0", "0")
	g.want("cpu.shares", "cpu.weight", "512", "59")
	if res := set("--cpu-idle", "1", "--cpu-share", "200").OK(); !strings.Contains(res.Stderr, "unable to apply both") {
		t.Errorf("both a weight and idleness: %v", res)
	}
	g.want("cpu.idle", "cpu.idle", "1", "1")
	set("--cpu-share", "1024").OK()
	g.want("cpu.idle", "cpu.idle", "0", "0")
	g.want("cpu.shares", "cpu.weight", "1024", "100")
	set("--cpu-idle", "2").Failed("invalid value for cpu-idle: 2 is out of range (0 to 1)")
	g.want("cpu.idle", "cpu.idle", "0", "0")
}

// If one value cannot be had, none is changed, and the next update starts from what was.
func TestUpdateAllOrNothing(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever, limits(&specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](32 * mib)}, Pids: &specs.LinuxPids{Limit: ptr[int64](20)},
		CPU: &specs.LinuxCPU{Shares: ptr[uint64](100), Quota: ptr[int64](50000), Period: ptr[uint64](100000)},
	})))
	c.Says("up")
	before := snapshot(t, c)
	state, err := os.ReadFile(filepath.Join(r.Root, c.ID, "state.json"))
	must(t, err)
	for _, bad := range []string{
		`{"pids":{"limit":30},"memory":{"limit":67108864},"cpu":{"shares":300,"cpus":"9999"}}`,
		`{"pids":{"limit":31},"cpu":{"quota":60000},"hugepageLimits":[{"pageSize":"3MB","limit":0}]}`,
		`{"pids":{"limit":32},"cpu":{"mems":"77"}}`,
		`{"pids":{"limit":33},"devices":[{"allow":true,"type":"c","major":1,"minor":11,"access":"rwx"}]}`,
		`{"pids":{"limit":34},"cpu":{"period":1}}`,
		`{"pids":{"limit":35},"blockIO":{"throttleReadBpsDevice":[{"major":250,"minor":250,"rate":1}]}}`,
	} {
		res := update(r, c, bad)
		if res.Code != 1 {
			t.Errorf("%s: %v", bad, res)
		}
		if after := snapshot(t, c); after != before {
			t.Errorf("%s changed something:\n%s\nwas\n%s", bad, after, before)
		}
	}
	after, err := os.ReadFile(filepath.Join(r.Root, c.ID, "state.json"))
	must(t, err)
	if string(after) != string(state) {
		t.Errorf("the record has changed:\n%s", after)
	}
	r.Do("update", c.ID, "--cpu-period", "200000").OK()
	g := groupOf(t, c, "cpu")
	g.want("cpu.cfs_quota_us", "cpu.max", "50000", "50000 200000")
}

// snapshot is what the files of a container's limits hold.
func snapshot(t *testing.T, c *lab.Container) string {
	t.Helper()
	var b strings.Builder
	for controller, files := range map[string][]string{
		"memory": {"memory.limit_in_bytes", "memory.max", "memory.soft_limit_in_bytes", "memory.low"},
		"pids":   {"pids.max"},
		"cpu":    {"cpu.shares", "cpu.weight", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.max"},
		"cpuset": {"cpuset.cpus", "cpuset.mems"},
	} {
		g := groupOf(t, c, controller)
		for _, f := range files {
			if data, err := os.ReadFile(filepath.Join(g.dir, f)); err == nil {
				fmt.Fprintf(&b, "%s %s", f, data)
			}
		}
	}
	lines := strings.SplitAfter(b.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// Two at once: each is applied whole, one after the other.
func TestUpdatesAtOnce(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever))
	c.Says("up")
	g, p := groupOf(t, c, "memory"), groupOf(t, c, "pids")
	for round := range rounds(10) {
		var wg sync.WaitGroup
		for _, n := range []int{1, 2, 3} {
			wg.Go(func() {
				res := r.Do("update", c.ID, "--memory", fmt.Sprintf("%dM", 32*n), "--memory-swap", fmt.Sprintf("%dM", 32*n), "--pids-limit", fmt.Sprint(100*n))
				if res.Code != 0 {
					t.Errorf("%v", res)
				}
			})
		}
		wg.Wait()
		memory, limit := g.read("memory.limit_in_bytes", "memory.max"), p.read("pids.max", "pids.max")
		if whole := map[string]string{"100": "33554432", "200": "67108864", "300": "100663296"}; whole[limit] != memory {
			t.Fatalf("round %d: memory is %s, pids is %s: of two updates", round, memory, limit)
		}
		// The record says the same: what a further update leaves alone does not move.
		r.Do("update", c.ID, "--cpu-share", fmt.Sprint(100+round)).OK()
		if got := g.read("memory.limit_in_bytes", "memory.max"); got != memory {
			t.Fatalf("round %d: memory was %s and is %s", round, memory, got)
		}
	}
}

// The new limit counts for what already runs.
func TestUpdateIsEnforced(t *testing.T) {
	r := onBench(t)
	// Whoever takes is the one to be killed, not the shell, which has little; and the update
	// comes in a pause, because the kernel looks past one that is just ending.
	taker := `(echo 1000 >/proc/self/oom_score_adj; ` + take("32M") + `)`
	c := r.Launch(shell(t, `while :; do `+taker+` && echo had || echo killed; /bin/busybox sleep 2; done`, limits(memory(64*mib))))
	c.Says("had\n")
	r.Do("update", c.ID, "--memory", "16M", "--memory-swap", "16M").OK()
	c.Says("killed\n")
	r.Do("update", c.ID, "--memory", "-1").OK()
	n := strings.Count(c.Stdout(), "\n")
	if last := c.Line(n + 3); last != "had" {
		t.Errorf("without a limit it is %s", last)
	}
}

// A limit below what is used is refused where that can be known, and the old one stays.
func TestUpdateBelowUse(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, `x=$(/bin/busybox dd if=/dev/zero bs=8M count=1 2>/dev/null | /bin/busybox tr '\0' x); echo up; while :; do read y; done`, limits(memory(64*mib))))
	c.Says("up")
	g := groupOf(t, c, "memory")
	res := update(r, c, `{"memory":{"limit":4194304,"swap":67108864,"checkBeforeUpdate":true}}`)
	if g.v2 {
		res.Failed("memory.limit", "rejecting memory limit 4194304 <= usage ")
		update(r, c, `{"memory":{"limit":4194304,"swap":4194304,"checkBeforeUpdate":true}}`).Failed("rejecting memory+swap limit 4194304 <= usage ")
	} else if res.Code != 0 { // v1 may be able to push it out to swap
		res.Failed("memory.limit", "unable to set memory limit to 4194304 (current usage: ", ", peak usage: ")
	}
	if g.v2 || res.Code != 0 {
		g.want("memory.limit_in_bytes", "memory.max", "67108864", "67108864")
	}
	status(t, c, "running")
}
