package cgroup

import (
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"

	"github.com/ocirt/ocirt/internal/need"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func full() *specs.LinuxResources {
	swap := int64(3 << 20)
	return &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: new(int64(2 << 20)), Swap: &swap, Reservation: new(int64(1 << 20))},
		CPU: &specs.LinuxCPU{
			Shares: new(uint64(1024)), Quota: new(int64(50000)), Period: new(uint64(200000)),
			Burst: new(uint64(10000)), Cpus: "0", Mems: "0",
		},
		Pids: &specs.LinuxPids{Limit: new(int64(7))},
		BlockIO: &specs.LinuxBlockIO{Weight: new(uint16(500)), ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{
			{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8, Minor: 16}, Rate: 1000},
		}},
		HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}},
	}
}

func text(l []setting) string {
	var b strings.Builder
	for _, s := range l {
		fmt.Fprintf(&b, "%s=%s", s.file, s.value)
		if s.orFile != "" {
			fmt.Fprintf(&b, " or %s=%s", s.orFile, s.orValue)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		f    func(*specs.LinuxResources) list
		want string
	}{
		"v1": {settingsV1, `memory.limit_in_bytes=2097152
memory.memsw.limit_in_bytes=3145728
memory.soft_limit_in_bytes=1048576
cpu.shares=1024
cpu.cfs_period_us=200000
cpu.cfs_quota_us=50000
cpu.cfs_burst_us=10000
cpuset.cpus=0
cpuset.mems=0
pids.max=7
blkio.weight=500 or blkio.bfq.weight=500
blkio.throttle.read_bps_device=8:16 1000
hugetlb.2MB.limit_in_bytes=4194304
hugetlb.2MB.rsvd.limit_in_bytes=4194304
`},
		"v2": {settingsV2, `pids.max=7
memory.swap.max=1048576
memory.max=2097152
memory.low=1048576
io.bfq.weight=500 or io.weight=4950
io.max=8:16 rbps=1000
cpu.weight=100
cpu.max.burst=10000
cpu.max=50000 200000
cpuset.cpus=0
cpuset.mems=0
hugetlb.2MB.max=4194304
hugetlb.2MB.rsvd.max=4194304
`},
	} {
		if got := c.f(full()); got.err != nil || text(got.settings) != c.want {
			t.Errorf("%s: %v\n%s", name, got.err, text(got.settings))
		}
	}
}

func TestSwapV2(t *testing.T) {
	for _, c := range []struct {
		limit, swap int64
		want, err   string
	}{
		{0, 0, "", ""},
		{100, 0, "", ""},
		{-1, 0, "max", ""},
		{100, -1, "max", ""},
		{-1, 50, "50", ""},
		{100, 100, "0", ""},
		{100, 300, "200", ""},
		{0, 5, "", "unable to set swap limit without memory limit"},
		{100, 50, "", "memory+swap limit should be >= memory limit"},
	} {
		got, err := swapV2(&specs.LinuxMemory{Limit: &c.limit, Swap: &c.swap})
		if got != c.want || (err == "") != (c.err == "") || !strings.Contains(err, c.err) {
			t.Errorf("limit %d, swap %d: %q, %q", c.limit, c.swap, got, err)
		}
	}
}

func TestWeights(t *testing.T) {
	for shares, want := range map[uint64]uint64{1: 1, 2: 1, 1024: 100, 262144: 10000, math.MaxUint64: 10000} {
		if got := cpuWeight(shares); got != want {
			t.Errorf("%d shares: weight %d, want %d", shares, got, want)
		}
	}
	for w, want := range map[uint64]uint64{10: 1, 500: 4950, 1000: 10000} {
		if got := ioWeight(w); got != want {
			t.Errorf("weight %d: %d, want %d", w, got, want)
		}
	}
}

func TestUnifiedKeys(t *testing.T) {
	for key, want := range map[string]string{
		"memory.high": "", "../../x": "not a cgroup file name", "memory/../x.y": "not a cgroup file name",
		"": "not a cgroup file name", "memory": "not a cgroup file name", "cgroup.procs": "is managed by the runtime",
	} {
		err := settingsV2(&specs.LinuxResources{Unified: map[string]string{key: "1"}}).err
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", key, err)
		}
	}
	err := settingsV1(&specs.LinuxResources{Unified: map[string]string{"memory.high": "1"}}).err
	if err == nil || !strings.Contains(err.Error(), "invalid configuration") {
		t.Errorf("v1: %v", err)
	}
}

func TestSetOnV1(t *testing.T) {
	hs := hierarchies(t)
	if len(hs) == 1 {
		t.Skip("this host has no hierarchy of cgroup v1")
	}
	g := create(t, pathsIn(t, "limits", hs...))
	r := full()
	r.BlockIO, r.HugepageLimits = nil, nil
	if err := g.Set(r); err != nil {
		t.Fatal(err)
	}
	check := func(controller, file, want string) {
		t.Helper()
		dir, _, _ := g.Dir(controller)
		if got, err := readIn(dir, file); strings.TrimSpace(got) != want || err != nil {
			t.Errorf("%s is %q (%v), want %s", file, got, err, want)
		}
	}
	check("memory", "memory.limit_in_bytes", "2097152")
	check("memory", "memory.memsw.limit_in_bytes", "3145728")
	check("cpu", "cpu.cfs_quota_us", "50000")
	check("cpu", "cpu.cfs_period_us", "200000")
	check("cpu", "cpu.cfs_burst_us", "10000")
	check("cpuset", "cpuset.cpus", "0")
	check("pids", "pids.max", "7")
	// Up and down again: each order of the two limits is wrong once.
	for _, n := range []int64{64 << 20, 1 << 20} {
		if _, err := g.Update(nil, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &n, Swap: &n}}); err != nil {
			t.Error(err)
		}
		check("memory", "memory.memsw.limit_in_bytes", fmt.Sprint(n))
	}
	_, err := g.Update(nil, &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "7KB"}}})
	if err == nil || !strings.Contains(err.Error(), "linux.resources.hugepageLimits[0]") {
		t.Errorf("page size 7KB: %v", err)
	}
	_, err = g.Update(nil, &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "9999"}})
	if err == nil || !strings.Contains(err.Error(), "linux.resources.cpu.cpus") {
		t.Errorf("cpus 9999: %v", err)
	}
	dir, _, _ := g.Dir("devices")
	list, err := readIn(dir, "devices.list")
	if err != nil || !strings.Contains(list, "c 1:3 rwm") || strings.Contains(list, "a *:* rwm") {
		t.Errorf("devices.list: %v\n%s", err, list)
	}
}

func TestSetOnV2(t *testing.T) {
	need.Cgroup2(t)
	g := create(t, pathsIn(t, "limits", hierarchies(t)...))
	r := full()
	r.BlockIO, r.HugepageLimits = nil, nil
	r.Unified = map[string]string{"memory.high": "1048576"}
	if err := g.Set(r); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"memory.max": "2097152", "memory.low": "1048576", "memory.high": "1048576", "cpu.weight": "100",
		"cpu.max": "50000 200000", "cpuset.cpus": "0", "pids.max": "7",
	} {
		if got, err := readIn(g.Paths[""], file); strings.TrimSpace(got) != want || err != nil {
			t.Errorf("%s is %q (%v), want %s", file, got, err, want)
		}
	}
	_, err := g.Update(nil, &specs.LinuxResources{Unified: map[string]string{"nosuch.max": "1"}})
	if err == nil || !strings.Contains(err.Error(), `controller "nosuch" is not available`) {
		t.Errorf("a controller that is missing: %v", err)
	}
}

// The same rules give the same answers through files and through a filter.
func TestDeviceRules(t *testing.T) {
	onEach(t, "devices", func(t *testing.T, hs []Hierarchy) {
		for _, c := range []struct {
			rules  []specs.LinuxDeviceCgroup
			script string
		}{
			{nil, "! true </dev/kmsg && echo >/dev/null && true </dev/zero"},
			{[]specs.LinuxDeviceCgroup{{Allow: false, Type: "a", Access: "rwm"}}, "! true </dev/kmsg && true </dev/urandom"},
			{
				[]specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Major: new(int64(1)), Minor: new(int64(11)), Access: "r"}},
				"true </dev/kmsg && ! true >/dev/kmsg",
			},
			{[]specs.LinuxDeviceCgroup{
				{Allow: true, Type: "c", Major: new(int64(1)), Minor: new(int64(11)), Access: "r"},
				{Allow: true, Type: "c", Major: new(int64(1)), Minor: new(int64(11)), Access: "w"},
			}, "true <>/dev/kmsg"},
			{[]specs.LinuxDeviceCgroup{
				{Allow: true, Type: "a"},
				{Allow: false, Type: "c", Major: new(int64(1)), Minor: new(int64(11)), Access: "w"},
			}, "true </dev/kmsg && ! true >/dev/kmsg"},
			{[]specs.LinuxDeviceCgroup{{Allow: true, Type: "a"}}, "true <>/dev/kmsg"},
		} {
			g := create(t, pathsIn(t, "devices", hs...))
			if err := g.setDevices(c.rules); err != nil {
				t.Fatal(err)
			}
			if err := g.setDevices(c.rules); err != nil { // in place of, not in addition to
				t.Fatal(err)
			}
			cmd := start(t, g, "exec 2>/dev/null; ("+c.script+") && exit 42; exit 1")
			_ = cmd.Wait()
			if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.ExitStatus() != 42 {
				t.Errorf("%+v: %q ends with %v", c.rules, c.script, cmd.ProcessState)
			}
			if err := g.Remove(ctx); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestDeviceErrors(t *testing.T) {
	for want, d := range map[string]specs.LinuxDeviceCgroup{
		`linux.resources.devices[0].type: unknown "q"`:            {Type: "q", Access: "r"},
		`linux.resources.devices[0].access: unknown letter "xyz"`: {Type: "c", Access: "xyz"},
		`linux.resources.devices[0].access: cannot be empty`:      {Type: "b"},
	} {
		if _, err := deviceRules([]specs.LinuxDeviceCgroup{d}); err == nil || err.Error() != want {
			t.Errorf("%+v: %v", d, err)
		}
	}
	rules, err := deviceRules([]specs.LinuxDeviceCgroup{
		{Allow: true, Type: "c", Major: new(int64(8)), Access: "r"},
		{Allow: false, Type: "c", Major: new(int64(8)), Minor: new(int64(1)), Access: "r"},
	})
	if err != nil || expressible(rules) == nil {
		t.Errorf("a part of a wildcard can be denied on v1: %v", err)
	}
}
