package cgroup

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd"
	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
)

// unitOf translates limits as a group with a unit does: the settings that are written, and
// the properties.
func unitOf(v2 bool, version int, r *specs.LinuxResources) (files map[string]string, properties map[string]dbus.Value) {
	g := &Group{Paths: map[string]string{"": "/x"}, Unit: &Unit{}}
	if !v2 {
		g.Paths = map[string]string{"memory": "/x", "cpu": "/x", "pids": "/x"}
	}
	l := g.settings(r)
	files, properties = map[string]string{}, map[string]dbus.Value{}
	for _, s := range l.settings {
		files[s.file] = s.value
	}
	for _, p := range unitProperties(l.settings, version) {
		properties[p.Name] = p.Value
	}
	return files, properties
}

func TestUnitProperties(t *testing.T) {
	const infinite = dbus.Uint64(math.MaxUint64)
	memory := func(limit, swap, low int64) *specs.LinuxResources {
		return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &swap, Reservation: &low}}
	}
	quota := func(quota int64, period uint64) *specs.LinuxResources {
		return &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}}
	}
	unified := func(key, value string) *specs.LinuxResources {
		return &specs.LinuxResources{Unified: map[string]string{key: value}}
	}
	pids := func(n int64) *specs.LinuxResources {
		return &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &n}}
	}
	cpus := func(c, m string) *specs.LinuxResources {
		return &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: c, Mems: m}}
	}
	throttle := func(rate uint64) *specs.LinuxResources {
		d := specs.LinuxThrottleDevice{Rate: rate}
		d.Major, d.Minor = 8, 16
		return &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
			ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{d}, ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{d},
		}}
	}
	weight := func(group, device uint16) *specs.LinuxResources {
		d := specs.LinuxWeightDevice{Weight: &device}
		d.Major, d.Minor = 8, 16
		return &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: &group, WeightDevice: []specs.LinuxWeightDevice{d}}}
	}
	devices := func(pairs ...any) (a dbus.Array) {
		a.Elem = "(st)"
		for i := 0; i < len(pairs); i += 2 {
			a.Items = append(a.Items, dbus.Struct{Fields: []dbus.Value{dbus.String("/dev/block/" + pairs[i].(string)), dbus.Uint64(pairs[i+1].(int))}})
		}
		return a
	}
	unlimited := devices("8:16", 0)
	unlimited.Items[0].(dbus.Struct).Fields[1] = infinite
	type values map[string]dbus.Value
	for _, c := range []struct {
		name    string
		v2      bool
		version int
		r       *specs.LinuxResources
		want    values
	}{
		{"memory", true, 262, memory(1<<20, 3<<20, 1<<19), values{"MemoryMax": dbus.Uint64(1 << 20), "MemorySwapMax": dbus.Uint64(2 << 20), "MemoryLow": dbus.Uint64(1 << 19)}},
		{"no limit of memory", true, 262, memory(-1, 0, 0), values{"MemoryMax": infinite, "MemorySwapMax": infinite}},
		{"memory of an old systemd", true, 231, memory(1<<20, 3<<20, 0), values{"MemoryMax": dbus.Uint64(1 << 20)}},
		{"pids", true, 262, pids(5), values{"TasksMax": dbus.Uint64(5)}},
		{"pids 0", true, 262, pids(0), values{"TasksMax": dbus.Uint64(1)}},
		{"pids -1", true, 262, pids(-1), values{"TasksMax": infinite}},
		{"quota", true, 262, quota(50000, 100000), values{"CPUQuotaPerSecUSec": dbus.Uint64(500000), "CPUQuotaPeriodUSec": dbus.Uint64(100000)}},
		{"quota is rounded up", true, 262, quota(33333, 100000), values{"CPUQuotaPerSecUSec": dbus.Uint64(340000), "CPUQuotaPeriodUSec": dbus.Uint64(100000)}},
		{"quota without period", true, 262, quota(1, 0), values{"CPUQuotaPerSecUSec": dbus.Uint64(10000), "CPUQuotaPeriodUSec": dbus.Uint64(100000)}},
		{"quota of an old systemd", true, 241, quota(200000, 50000), values{"CPUQuotaPerSecUSec": dbus.Uint64(4000000)}},
		{"no quota", true, 262, quota(-1, 0), values{"CPUQuotaPerSecUSec": infinite, "CPUQuotaPeriodUSec": dbus.Uint64(100000)}},
		{"shares", true, 262, &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: new(uint64(1024))}}, values{"CPUWeight": dbus.Uint64(100)}},
		{"idle", true, 262, &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: new(int64(1)), Shares: new(uint64(1024))}}, values{"CPUWeight": dbus.Uint64(0)}},
		{"idle of an old systemd", true, 251, &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: new(int64(1))}}, values{}},
		{"not idle", true, 262, &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: new(int64(0))}}, values{"CPUWeight": infinite}},
		{"processors", true, 262, cpus("0-1,8", "0"), values{"AllowedCPUs": dbus.Bytes([]byte{3, 1}), "AllowedMemoryNodes": dbus.Bytes([]byte{1})}},
		{"no list of processors", true, 262, cpus("x", ""), values{}},
		{"processors of an old systemd", true, 243, cpus("0", "0"), values{}},
		{"unified cpu.max", true, 262, unified("cpu.max", "max 50000"), values{"CPUQuotaPerSecUSec": infinite, "CPUQuotaPeriodUSec": dbus.Uint64(50000)}},
		{"unified cpu.max, one number", true, 262, unified("cpu.max", "20000"), values{"CPUQuotaPerSecUSec": dbus.Uint64(200000), "CPUQuotaPeriodUSec": dbus.Uint64(100000)}},
		{"unified cpu.weight", true, 262, unified("cpu.weight", "33"), values{"CPUWeight": dbus.Uint64(33)}},
		{"unified cpu.idle", true, 262, unified("cpu.idle", "1"), values{"CPUWeight": dbus.Uint64(0)}},
		{"unified memory.high", true, 262, unified("memory.high", "max"), values{"MemoryHigh": infinite}},
		{"unified memory.min", true, 262, unified("memory.min", "7"), values{"MemoryMin": dbus.Uint64(7)}},
		{"unified memory.max, not for systemd", true, 262, unified("memory.max", "1G"), values{}},
		{"unified cpuset.mems", true, 262, unified("cpuset.mems", "0,2"), values{"AllowedMemoryNodes": dbus.Bytes([]byte{5})}},
		{"unified, unknown to systemd", true, 262, unified("misc.max", "x 1"), values{}},
		{"throttled devices", true, 262, throttle(1000), values{"IOReadBandwidthMax": devices("8:16", 1000), "IOWriteIOPSMax": devices("8:16", 1000)}},
		{"devices throttled no more", true, 262, throttle(0), values{"IOReadBandwidthMax": unlimited, "IOWriteIOPSMax": unlimited}},
		{"devices of an old systemd", true, 229, throttle(1000), values{}},
		{"unified io.max", true, 262, unified("io.max", "8:0 rbps=1 wiops=2\n8:16 wbps=max riops=3\n8:0 rbps=4"), values{
			"IOReadBandwidthMax": devices("8:0", 4), "IOWriteIOPSMax": devices("8:0", 2), "IOWriteBandwidthMax": unlimited, "IOReadIOPSMax": devices("8:16", 3),
		}},
		{"weights", true, 262, weight(300, 100), values{"IOWeight": dbus.Uint64(2300), "IODeviceWeight": devices("8:16", 100)}},
		{"unified io.weight", true, 262, unified("io.weight", "default 7\n8:0 9"), values{"IOWeight": dbus.Uint64(7), "IODeviceWeight": devices("8:0", 9)}},
		{"v1 throttled devices", false, 252, throttle(1000), values{"BlockIOReadBandwidth": devices("8:16", 1000)}},
		{"v1 weights", false, 252, weight(300, 100), values{"BlockIOWeight": dbus.Uint64(300), "BlockIODeviceWeight": devices("8:16", 100)}},
		{"unknown version is new", true, 0, cpus("1", ""), values{"AllowedCPUs": dbus.Bytes([]byte{2})}},
		{"v1 memory", false, 252, memory(1<<20, -1, 0), values{"MemoryLimit": dbus.Uint64(1 << 20)}},
		{"v1 quota", false, 252, quota(33333, 50000), values{"CPUQuotaPerSecUSec": dbus.Uint64(670000), "CPUQuotaPeriodUSec": dbus.Uint64(50000)}},
		{"v1 no quota", false, 252, quota(-1, 0), values{"CPUQuotaPerSecUSec": infinite, "CPUQuotaPeriodUSec": dbus.Uint64(100000)}},
		{"v1 shares", false, 252, &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: new(uint64(1024))}}, values{"CPUShares": dbus.Uint64(1024)}},
	} {
		if _, got := unitOf(c.v2, c.version, c.r); !reflect.DeepEqual(got, map[string]dbus.Value(c.want)) {
			t.Errorf("%s:\n got %v\nwant %v", c.name, got, c.want)
		}
	}
}

// An update tells of what it changes and names, and takes back what it has told.
func TestChangedProperties(t *testing.T) {
	number := func(name string, n uint64) systemd.Property {
		return systemd.Property{Name: name, Value: dbus.Uint64(n)}
	}
	list := func(rate uint64) []systemd.Property {
		return unitProperties([]setting{{file: "io.max", value: "8:0 rbps=" + strconv.FormatUint(rate, 10)}}, 262)
	}
	before := append([]systemd.Property{number("CPUWeight", 5), number("TasksMax", 7)}, list(1)...)
	after := append([]systemd.Property{number("CPUWeight", 6), number("TasksMax", 7), number("MemoryLow", 9)}, list(2)...)
	for _, c := range []struct {
		name          string
		before, after []systemd.Property
		named, want   []systemd.Property
	}{
		{"forward", before, after, nil, append([]systemd.Property{number("CPUWeight", 6), number("MemoryLow", 9)}, list(2)...)},
		{"back", after, before, nil, append(append([]systemd.Property{number("CPUWeight", 5)}, list(1)...), number("MemoryLow", 0))},
		{"named", before, before, []systemd.Property{number("TasksMax", 7)}, []systemd.Property{number("TasksMax", 7)}},
		{"nothing", before, before, nil, nil},
	} {
		if got := changed(c.before, c.after, c.named); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v\nwant %v", c.name, got, c.want)
		}
	}
}

// Systemd adds to lists: the one that there is goes first.
func TestListsOfDevicesReplace(t *testing.T) {
	list := unitProperties([]setting{{file: "io.max", value: "8:0 rbps=5"}}, 262)
	if len(list) != 2 || list[0].Name != list[1].Name || len(list[0].Value.(dbus.Array).Items) != 0 || len(list[1].Value.(dbus.Array).Items) != 1 {
		t.Errorf("got %v", list)
	}
}

// What is written to the files is what systemd will write there.
func TestUnitValuesAreWhatSystemdKeeps(t *testing.T) {
	for _, c := range []struct {
		v2                bool
		quota             int64
		period            uint64
		file, value, pids string
	}{
		{true, 33333, 100000, "cpu.max", "34000 100000", "1"},
		{true, 50000, 100000, "cpu.max", "50000 100000", "1"},
		{true, 1000, 1000000, "cpu.max", "10000 1000000", "1"},
		{true, math.MaxInt64, 1000, "cpu.max", "9223372036854775807 1000", "1"},
		{false, 33333, 50000, "cpu.cfs_quota_us", "33500", "1"},
	} {
		files, _ := unitOf(c.v2, 262, &specs.LinuxResources{
			CPU: &specs.LinuxCPU{Quota: &c.quota, Period: &c.period}, Pids: &specs.LinuxPids{Limit: new(int64(0))},
		})
		if files[c.file] != c.value || files["pids.max"] != c.pids {
			t.Errorf("%+v: %v", c, files)
		}
	}
	// And without systemd it is what was asked for.
	g := &Group{Paths: map[string]string{"": "/x"}}
	for _, s := range g.settings(&specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: new(int64(33333))}, Pids: &specs.LinuxPids{Limit: new(int64(0))}}).settings {
		if s.value != map[string]string{"cpu.max": "33333 100000", "pids.max": "0"}[s.file] {
			t.Errorf("%s is %q", s.file, s.value)
		}
	}
}

func TestUnitDevices(t *testing.T) {
	policy := func(given ...specs.LinuxDeviceCgroup) (string, []string) {
		rules, err := deviceRules(given)
		if err != nil {
			t.Fatal(err)
		}
		list := deviceProperties(fold(rules))
		var allowed []string
		for _, item := range list[2].Value.(dbus.Array).Items {
			f := item.(dbus.Struct).Fields
			allowed = append(allowed, string(f[0].(dbus.String))+" "+string(f[1].(dbus.String)))
		}
		return string(list[0].Value.(dbus.String)), allowed
	}
	rule := func(allow bool, kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Major: &major, Minor: &minor, Access: access}
	}
	p, allowed := policy(rule(false, "a", -1, -1, "rwm"), rule(true, "b", 8, 16, "r"))
	if p != "strict" {
		t.Errorf("policy %s", p)
	}
	for _, want := range []string{"/dev/block/8:16 r", "char-* m", "block-* m", "/dev/char/1:3 rwm", "char-pts rwm"} {
		if !strings.Contains(strings.Join(allowed, "\n"), want) {
			t.Errorf("%q is missing in %q", want, allowed)
		}
	}
	// What systemd cannot express it is not told at all: it would forbid what we allow.
	for name, given := range map[string][]specs.LinuxDeviceCgroup{
		"everything":       {rule(true, "a", -1, -1, "rwm")},
		"a forbidden one":  {rule(false, "c", 10, 229, "rwm")},
		"a minor alone":    {rule(true, "c", -1, 5, "rwm")},
		"an unknown major": {rule(true, "c", 9999, -1, "rwm")},
	} {
		if p, allowed := policy(given...); p != "auto" || len(allowed) > 0 {
			t.Errorf("%s: policy %s, %q", name, p, allowed)
		}
	}
}

func TestTakingBackSetsDefaults(t *testing.T) {
	list := withDefaults([]systemd.Property{{Name: "CPUWeight", Value: dbus.Uint64(5)}}, []systemd.Property{
		{Name: "CPUWeight", Value: dbus.Uint64(7)},
		{Name: "MemoryMax", Value: dbus.Uint64(7)},
		{Name: "MemoryLow", Value: dbus.Uint64(7)},
		{Name: "AllowedCPUs", Value: dbus.Bytes([]byte{1})},
		{Name: "IOReadBandwidthMax", Value: dbus.Array{Elem: "(st)", Items: []dbus.Value{dbus.Struct{}}}},
	})
	want := []systemd.Property{
		{Name: "CPUWeight", Value: dbus.Uint64(5)},
		{Name: "MemoryMax", Value: dbus.Uint64(math.MaxUint64)},
		{Name: "MemoryLow", Value: dbus.Uint64(0)},
		{Name: "AllowedCPUs", Value: dbus.Bytes(nil)},
		{Name: "IOReadBandwidthMax", Value: dbus.Array{Elem: "(st)"}},
	}
	if !reflect.DeepEqual(list, want) {
		t.Errorf("got %v", list)
	}
}
