package cgroup

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A want is what a file holds after an update. The controller finds the group on v1.
type want struct{ controller, file, value string }

func (g *Group) holds(t *testing.T, w want) {
	t.Helper()
	dir, _, _ := g.Dir(w.controller)
	text, err := readIn(dir, w.file)
	got := strings.TrimSpace(text)
	if err != nil || got != w.value && !strings.Contains("\n"+got+"\n", "\n"+w.value+"\n") {
		t.Errorf("%s is %q (%v), want %s", w.file, got, err, w.value)
	}
}

// An update and what comes of it.
type updating struct {
	change specs.LinuxResources
	v1, v2 []want
}

func memory(m specs.LinuxMemory) specs.LinuxResources { return specs.LinuxResources{Memory: &m} }
func cpu(c specs.LinuxCPU) specs.LinuxResources       { return specs.LinuxResources{CPU: &c} }
func pids(n int64) specs.LinuxResources {
	return specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &n}}
}

// updates changes one property after the other. What an update does not name stays.
func updates() []updating {
	const mib = int64(1 << 20)
	return []updating{
		{
			memory(specs.LinuxMemory{Limit: new(64 * mib)}),
			[]want{{"memory", "memory.limit_in_bytes", "67108864"}},
			[]want{{"memory", "memory.max", "67108864"}},
		},
		{
			memory(specs.LinuxMemory{Swap: new(96 * mib)}),
			[]want{{"memory", "memory.memsw.limit_in_bytes", "100663296"}},
			[]want{{"memory", "memory.swap.max", "33554432"}},
		},
		{
			memory(specs.LinuxMemory{Reservation: new(32 * mib)}),
			[]want{{"memory", "memory.soft_limit_in_bytes", "33554432"}},
			[]want{{"memory", "memory.low", "33554432"}},
		},
		{memory(specs.LinuxMemory{Swappiness: new(uint64(10))}), []want{{"memory", "memory.swappiness", "10"}}, nil},
		{memory(specs.LinuxMemory{UseHierarchy: new(true)}), []want{{"memory", "memory.use_hierarchy", "1"}}, nil},
		{memory(specs.LinuxMemory{DisableOOMKiller: new(true)}), []want{{"memory", "memory.oom_control", "oom_kill_disable 1"}}, nil},
		{
			cpu(specs.LinuxCPU{Shares: new(uint64(2048))}),
			[]want{{"cpu", "cpu.shares", "2048"}},
			[]want{{"cpu", "cpu.weight", "174"}},
		},
		{
			cpu(specs.LinuxCPU{Quota: new(int64(50000))}),
			[]want{{"cpu", "cpu.cfs_quota_us", "50000"}},
			[]want{{"cpu", "cpu.max", "50000 100000"}},
		},
		{
			cpu(specs.LinuxCPU{Period: new(uint64(200000))}),
			[]want{{"cpu", "cpu.cfs_period_us", "200000"}},
			[]want{{"cpu", "cpu.max", "50000 200000"}},
		},
		{
			cpu(specs.LinuxCPU{Burst: new(uint64(20000))}),
			[]want{{"cpu", "cpu.cfs_burst_us", "20000"}},
			[]want{{"cpu", "cpu.max.burst", "20000"}},
		},
		{cpu(specs.LinuxCPU{Cpus: "0"}), []want{{"cpuset", "cpuset.cpus", "0"}}, []want{{"cpuset", "cpuset.cpus", "0"}}},
		{cpu(specs.LinuxCPU{Mems: "0"}), []want{{"cpuset", "cpuset.mems", "0"}}, []want{{"cpuset", "cpuset.mems", "0"}}},
		{pids(20), []want{{"pids", "pids.max", "20"}}, []want{{"pids", "pids.max", "20"}}},
		{
			specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
				{Allow: true, Type: "c", Major: new(int64(1)), Minor: new(int64(11)), Access: "r"},
			}},
			[]want{{"devices", "devices.list", "c 1:11 r"}},
			nil,
		},
		{specs.LinuxResources{Unified: map[string]string{"memory.high": "50331648"}}, nil, []want{{"memory", "memory.high", "50331648"}}},
		{specs.LinuxResources{Unified: map[string]string{"memory.oom.group": "1"}}, nil, []want{{"memory", "memory.oom.group", "1"}}},
	}
}

// Each property is changed, then another, and nothing reverts: neither in the kernel nor in
// what is stored.
func TestUpdateForgetsNothing(t *testing.T) {
	g := create(t, pathsIn(t, "updates", hierarchies(t)...))
	if err := g.Set(nil); err != nil {
		t.Fatal(err)
	}
	var stored *specs.LinuxResources
	var sum []want
	for _, u := range updates() {
		wants := u.v1
		if g.pureV2() {
			wants = u.v2
		}
		if len(wants) == 0 {
			continue // the other kind of host has it
		}
		if _, err := g.Update(stored, &u.change); err != nil {
			t.Fatalf("%+v: %v", wants, err)
		}
		stored = Merge(stored, &u.change)
		sum = append(sum, wants...)
		if wants[0].file == "cpu.cfs_period_us" || wants[0].value == "50000 200000" {
			sum = drop(sum, "cpu.max", "50000 100000")
		}
		for _, w := range sum {
			g.holds(t, w)
		}
	}
	// All that is stored, written to a group that has it, changes nothing.
	if _, err := g.Update(stored, stored); err != nil {
		t.Error(err)
	}
	for _, w := range sum {
		g.holds(t, w)
	}
	other := create(t, pathsIn(t, "updates2", hierarchies(t)...))
	if err := other.Set(stored); err != nil {
		t.Fatal(err)
	}
	for _, w := range sum { // and a new group is limited in the same way
		other.holds(t, w)
	}
}

func drop(all []want, file, value string) (out []want) {
	for _, w := range all {
		if w.file != file || w.value != value {
			out = append(out, w)
		}
	}
	return out
}

// Values that bind each other, up and down: every order of writing them is wrong once.
func TestUpdateOrder(t *testing.T) {
	g := create(t, pathsIn(t, "order", hierarchies(t)...))
	var stored *specs.LinuxResources
	for _, c := range []struct {
		limit, swap   int64
		quota         int64
		period, burst uint64
	}{
		{64 << 20, 64 << 20, 50000, 100000, 50000},
		{8 << 20, 12 << 20, 2000, 2000, 1000},
		{128 << 20, 256 << 20, 900000, 1000000, 800000},
		{1 << 20, 1 << 20, 1000, 1000000, 0},
		{-1, -1, -1, 100000, 0},
		{4 << 20, 5 << 20, 30000, 10000, 20000},
	} {
		change := memory(specs.LinuxMemory{Limit: &c.limit, Swap: &c.swap})
		change.CPU = &specs.LinuxCPU{Quota: &c.quota, Period: &c.period, Burst: &c.burst}
		if _, err := g.Update(stored, &change); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		stored = Merge(stored, &change)
		if g.pureV2() {
			g.holds(t, want{"memory", "memory.max", countOrMax(c.limit)})
			g.holds(t, want{"memory", "memory.swap.max", countOrMax(c.swap - max(c.limit, 0))})
			g.holds(t, want{"cpu", "cpu.max", countOrMax(c.quota) + " " + fmt.Sprint(c.period)})
			g.holds(t, want{"cpu", "cpu.max.burst", fmt.Sprint(c.burst)})
			continue
		}
		huge := map[bool]string{true: "9223372036854771712"}
		g.holds(t, want{"memory", "memory.limit_in_bytes", huge[c.limit < 0] + strings.TrimPrefix(fmt.Sprint(c.limit), "-1")})
		g.holds(t, want{"memory", "memory.memsw.limit_in_bytes", huge[c.swap < 0] + strings.TrimPrefix(fmt.Sprint(c.swap), "-1")})
		g.holds(t, want{"cpu", "cpu.cfs_quota_us", fmt.Sprint(c.quota)})
		g.holds(t, want{"cpu", "cpu.cfs_period_us", fmt.Sprint(c.period)})
		g.holds(t, want{"cpu", "cpu.cfs_burst_us", fmt.Sprint(c.burst)})
	}
}

// An idle group has no weight, and gets its own back.
func TestUpdateIdle(t *testing.T) {
	g := create(t, pathsIn(t, "idle", hierarchies(t)...))
	weight := map[bool]want{false: {"cpu", "cpu.shares", "512"}, true: {"cpu", "cpu.weight", "59"}}[g.pureV2()]
	stored := &specs.LinuxResources{}
	for _, c := range []specs.LinuxCPU{{Shares: new(uint64(512))}, {Idle: new(int64(1))}, {Quota: new(int64(70000))}, {Idle: new(int64(0))}} {
		change := cpu(c)
		if _, err := g.Update(stored, &change); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		stored = Merge(stored, &change)
	}
	g.holds(t, want{"cpu", "cpu.idle", "0"})
	g.holds(t, weight)
	// A failed attempt leaves an idle group's weight, and idleness, as they are.
	change := specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: new(int64(1)), Cpus: "9999"}}
	if _, err := g.Update(stored, &change); err == nil {
		t.Error("there is a processor 9999")
	}
	g.holds(t, want{"cpu", "cpu.idle", "0"})
	g.holds(t, weight)
}

// tree returns the content of each file of a group that tells a limit.
func tree(t *testing.T, g *Group) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, dir := range g.Paths {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			name := f.Name()
			for _, limit := range []string{"limit_in_bytes", ".max", ".low", ".high", "weight", "shares", "quota", "period", "burst", "idle", "cpus", "mems", "devices.list", "swappiness", "oom_control", "oom.group"} {
				if strings.HasSuffix(name, limit) {
					text, _ := readIn(dir, name)
					out[name] = text
				}
			}
		}
	}
	return out
}

// If one thing fails, nothing is done: whatever stands before and after it.
func TestUpdateAllOrNothing(t *testing.T) {
	onEach(t, "atomic", func(t *testing.T, hs []Hierarchy) {
		g := create(t, pathsIn(t, "atomic", hs...))
		if !g.pureV2() || hasWord(g.Paths[""], "cgroup.controllers", "memory") {
			testAllOrNothing(t, g)
		}
	})
}

func testAllOrNothing(t *testing.T, g *Group) {
	t.Helper()
	first := full()
	first.BlockIO, first.HugepageLimits = nil, nil
	if err := g.Set(first); err != nil {
		t.Fatal(err)
	}
	before := tree(t, g)
	all := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: new(int64(4 << 20)), Swap: new(int64(5 << 20)), Reservation: new(int64(2 << 20))},
		CPU: &specs.LinuxCPU{
			Shares: new(uint64(77)), Quota: new(int64(10000)), Period: new(uint64(50000)), Burst: new(uint64(100)), Cpus: "0", Mems: "0",
		},
		Pids:    &specs.LinuxPids{Limit: new(int64(99))},
		Devices: []specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Major: new(int64(1)), Minor: new(int64(11)), Access: "rw"}},
	}
	for property, spoil := range map[string]func(*specs.LinuxResources){
		"cpu.cpus":                 func(r *specs.LinuxResources) { r.CPU.Cpus = "9999" },
		"cpu.mems":                 func(r *specs.LinuxResources) { r.CPU.Mems = "999" },
		"hugepageLimits[0]":        func(r *specs.LinuxResources) { r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "7KB"}} },
		"rdma":                     func(r *specs.LinuxResources) { r.Rdma = map[string]specs.LinuxRdma{"no": {HcaHandles: new(uint32(1))}} },
		"devices[0].type":          func(r *specs.LinuxResources) { r.Devices[0].Type = "q" },
		"blockIO.throttleReadBpsD": func(r *specs.LinuxResources) { r.BlockIO = full().BlockIO; r.BlockIO.Weight = nil },
	} {
		bad := Merge(all, nil)
		spoil(bad)
		_, err := g.Update(first, bad)
		if err == nil || !strings.Contains(err.Error(), "linux.resources."+property) {
			t.Errorf("%s: %v", property, err)
		}
		if after := tree(t, g); !reflect.DeepEqual(before, after) {
			t.Errorf("%s leaves traces: before\n%v\nafter\n%v", property, before, after)
		}
	}
	undo, err := g.Update(first, all)
	if err != nil {
		t.Fatal(err)
	}
	if reflect.DeepEqual(before, tree(t, g)) {
		t.Error("nothing has changed")
	}
	canRead(t, g, true)
	if err := undo(); err != nil {
		t.Error(err)
	}
	canRead(t, g, false)
	if after := tree(t, g); !reflect.DeepEqual(before, after) {
		t.Errorf("undone: before\n%v\nafter\n%v", before, after)
	}
}

// canRead checks whether a process in the group may open a device that containers have not.
func canRead(t *testing.T, g *Group, can bool) {
	t.Helper()
	cmd := start(t, g, "exec 2>/dev/null; true </dev/null || exit 9; true </dev/kmsg && exit 42; exit 1")
	_ = cmd.Wait()
	code := cmd.ProcessState.Sys().(syscall.WaitStatus).ExitStatus()
	if code != map[bool]int{true: 42, false: 1}[can] {
		t.Errorf("exit status %d, can read: %v", code, can)
	}
}

// The device rules of a group with others below it can be changed: nothing begins anew.
func TestUpdateDevicesOfNested(t *testing.T) {
	onEach(t, "devices", func(t *testing.T, hs []Hierarchy) {
		g := create(t, pathsIn(t, "nesteddev", hs...))
		if err := g.setDevices(nil); err != nil {
			t.Fatal(err)
		}
		dir, _, _ := g.Dir("devices")
		if err := os.Mkdir(dir+"/below", 0o755); err != nil {
			t.Fatal(err)
		}
		var stored *specs.LinuxResources
		for _, access := range []string{"r", "rw", "", "r"} {
			change := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Type: "c", Major: new(int64(10)), Access: "rwm"}}}
			if access != "" {
				change.Devices = append(change.Devices, specs.LinuxDeviceCgroup{
					Allow: true, Type: "c", Major: new(int64(1)), Minor: new(int64(11)), Access: access,
				})
			}
			if _, err := g.Update(stored, change); err != nil {
				t.Fatal(err)
			}
			stored = Merge(stored, change)
			canRead(t, g, access != "")
		}
		if err := os.Remove(dir + "/below"); err != nil {
			t.Error(err)
		}
	})
}

// What everything being allowed excepts is not told by a v1 kernel, and is replaced all the
// same.
func TestUpdateDevicesFromAll(t *testing.T) {
	onEach(t, "devices", func(t *testing.T, hs []Hierarchy) {
		g := create(t, pathsIn(t, "alldev", hs...))
		rule := func(allow bool, minor int64) specs.LinuxDeviceCgroup {
			return specs.LinuxDeviceCgroup{Allow: allow, Type: "c", Major: new(int64(1)), Minor: &minor, Access: "rwm"}
		}
		all := specs.LinuxDeviceCgroup{Allow: true, Type: "a", Access: "rwm"}
		none := specs.LinuxDeviceCgroup{Allow: false, Type: "a", Access: "rwm"}
		stored := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{all, rule(false, 11)}}
		if err := g.Set(stored); err != nil {
			t.Fatal(err)
		}
		canRead(t, g, false)
		for _, c := range []struct {
			rules []specs.LinuxDeviceCgroup
			can   bool
		}{
			{[]specs.LinuxDeviceCgroup{all}, true},
			{[]specs.LinuxDeviceCgroup{all, rule(false, 11)}, false},
			{[]specs.LinuxDeviceCgroup{none, rule(true, 11)}, true},
			{[]specs.LinuxDeviceCgroup{none}, false},
			{[]specs.LinuxDeviceCgroup{all, {Allow: false, Type: "c", Access: "rwm"}}, false},
			{[]specs.LinuxDeviceCgroup{all, {Allow: false, Type: "c", Access: "rwm"}, rule(true, 11)}, true},
		} {
			change := &specs.LinuxResources{Devices: c.rules}
			if _, err := g.Update(stored, change); err != nil {
				t.Fatal(err)
			}
			stored = Merge(stored, change)
			canRead(t, g, c.can)
		}
	})
}
