package cgroup

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/internal/need"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestPointer(t *testing.T) {
	for property, want := range map[string]string{
		"memory.limit":                      "/linux/resources/memory/limit",
		"blockIO.weightDevice[0].weight":    "/linux/resources/blockIO/weightDevice/0/weight",
		`unified["memory.max"]`:             "/linux/resources/unified/memory.max",
		`unified["../x"]`:                   "/linux/resources/unified/..~1x",
		"devices":                           "/linux/resources/devices",
		"blockIO.throttleReadBpsDevice[12]": "/linux/resources/blockIO/throttleReadBpsDevice/12",
		"hugepageLimits[0].pageSize":        "/linux/resources/hugepageLimits/0/pageSize",
	} {
		if got := (&LimitError{property, unix.EINVAL}).Pointer(); got != want {
			t.Errorf("%s: %s, want %s", property, got, want)
		}
	}
}

// What this host cannot do is said in words: the property, the value, and what there is
// instead.
func TestRefusals(t *testing.T) {
	g := create(t, pathsIn(t, "refusals", hierarchies(t)...))
	device := func(name string) specs.LinuxResources {
		d := []specs.LinuxThrottleDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 250, Minor: 250}, Rate: 1}}
		return specs.LinuxResources{BlockIO: map[string]*specs.LinuxBlockIO{
			"read": {ThrottleReadBpsDevice: d}, "write": {ThrottleWriteIOPSDevice: d},
		}[name]}
	}
	huge := func(size string) specs.LinuxResources {
		return specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: size, Limit: 1 << 21}}}
	}
	for name, c := range map[string]struct {
		change specs.LinuxResources
		begin  string
		then   string
		file   string // of v1 or v2, without which the row says nothing
	}{
		"R-16":   {cpu(specs.LinuxCPU{Cpus: "9999"}), `linux.resources.cpu.cpus: no such CPU: the host has 0`, `cannot write "9999" to cpuset.cpus`, "cpuset.cpus"},
		"R-18":   {cpu(specs.LinuxCPU{Mems: "0,512"}), `linux.resources.cpu.mems: no such node: the host has 0`, `cannot write "0,512" to cpuset.mems`, "cpuset.mems"},
		"R-25":   {huge("7KB"), `linux.resources.hugepageLimits[0].pageSize: unsupported "7KB", `, "", "hugetlb.2MB.max"},
		"R-26":   {huge("../x"), `linux.resources.hugepageLimits[0].pageSize: unsupported "../x", `, "", ""},
		"R-28":   {device("read"), `linux.resources.blockIO.throttleReadBpsDevice[0]: no such device 250:250`, "no such device", "blkio.throttle.read_bps_device io.max"},
		"R-28b":  {device("write"), `linux.resources.blockIO.throttleWriteIOPSDevice[0]: no such device 250:250`, "no such device", "blkio.throttle.read_bps_device io.max"},
		"R-29":   {specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"nope": {HcaHandles: new(uint32(1))}}}, `linux.resources.rdma["nope"]: `, "", ""},
		"R-30":   {specs.LinuxResources{Network: &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "nope0", Priority: 1}}}}, `linux.resources.network.priorities[0]: `, "", "v1"},
		"R-23":   {specs.LinuxResources{Unified: map[string]string{"memory.high": "1"}}, `linux.resources.unified: invalid configuration: needs cgroup v2`, "", "v1"},
		"R-24":   {specs.LinuxResources{Unified: map[string]string{"nosuch.max": "1"}}, `linux.resources.unified["nosuch.max"]: controller "nosuch" is not available`, "does not have it", "v2"},
		"R-29b":  {specs.LinuxResources{Unified: map[string]string{"misc.max": "nope 1"}}, `linux.resources.unified["misc.max"]: `, "", "misc.max"},
		"file":   {specs.LinuxResources{Unified: map[string]string{"memory.nosuch": "1"}}, `linux.resources.unified["memory.nosuch"]: cannot be set: the kernel has no memory.nosuch`, "", "v2"},
		"lines":  {specs.LinuxResources{Unified: map[string]string{"memory.max": "1\n2"}}, `linux.resources.unified["memory.max"]: takes one line, found 2`, "", "v2"},
		"rt":     {cpu(specs.LinuxCPU{RealtimeRuntime: new(int64(1000))}), `linux.resources.cpu.realtimeRuntime: cgroup v2 has no limit for realtime processes`, "", "v2"},
		"swap":   {memory(specs.LinuxMemory{Swap: new(int64(1 << 30))}), `linux.resources.memory.swap: unable to set swap limit without memory limit`, "", "v2"},
		"leaf":   {specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{LeafWeight: new(uint16(10))}}, `linux.resources.blockIO.leafWeight: cgroup v2 has no such weight`, "", "v2"},
		"memsw":  {memory(specs.LinuxMemory{Limit: new(int64(8 << 20)), Swap: new(int64(4 << 20))}), `linux.resources.memory.swap: `, "", ""},
		"rt sum": {cpu(specs.LinuxCPU{RealtimePeriod: new(uint64(1000000)), RealtimeRuntime: new(int64(999999))}), `linux.resources.cpu.realtimeRuntime: the cgroups above leave no such realtime share`, "", "cpu.rt_runtime_us"},
	} {
		if !g.offers(c.file) {
			continue
		}
		for _, f := range []func(*specs.LinuxResources) error{g.Set, func(r *specs.LinuxResources) error {
			_, err := g.Update(nil, r)
			return err
		}} {
			err := f(&c.change)
			if err == nil || !strings.HasPrefix(err.Error(), c.begin) || !strings.Contains(err.Error(), c.then) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// offers tells whether the group has one of some files, or is of a kind.
func (g *Group) offers(files string) bool {
	if files == "" || files == map[bool]string{true: "v2", false: "v1"}[g.pureV2()] {
		return true
	}
	for file := range strings.FieldsSeq(files) {
		controller, _, _ := strings.Cut(file, ".")
		if dir, _, ok := g.Dir(controller); ok && exists(dir+"/"+file) {
			return true
		}
	}
	return false
}

// Where a controller stops is named, and what helps.
func TestWhereAControllerStops(t *testing.T) {
	h := v2Tree(t)
	paths := pathsIn(t, "stops", h)
	top := paths[""]
	offered, err := readIn(h.Mount, "cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	g := create(t, map[string]string{"": top + "/a/b"})
	defer func() { _ = g.Remove(ctx) }()
	limit := pids(5)
	limit.Memory = &specs.LinuxMemory{Limit: new(int64(1 << 20)), Swap: new(int64(-1))}
	if !strings.Contains(offered, "pids") { // a hybrid host: v1 has it
		err := g.Set(&limit)
		want := `linux.resources.pids.limit: controller "pids" is not available in cgroup ` + top + "/a/b: " + h.Mount + " does not have it"
		also := `; missing as well: "memory" (linux.resources.memory.limit)`
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), also) || !errors.Is(err, unix.ENOENT) {
			t.Errorf("%v", err)
		}
		return
	}
	if err := writeIn(top+"/a", "cgroup.subtree_control", "-pids -memory"); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(*specs.LinuxResources) error{"set": g.Set, "update": func(r *specs.LinuxResources) error {
		_, err := g.Update(nil, r)
		return err
	}} {
		err := f(&limit)
		want := `linux.resources.pids.limit: controller "pids" is not available in cgroup ` + top + "/a/b: " + top +
			"/a has it and does not pass it on; to enable it: echo +pids >" + top + `/a/cgroup.subtree_control; missing as well: "memory" (linux.resources.memory.limit)`
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", name, err, want)
		}
	}
}

// Realtime shares need the groups above to have them: those that are ours get them.
func TestRealtime(t *testing.T) {
	hs := hierarchies(t)
	paths := pathsIn(t, "realtime", hs...)
	for name := range paths {
		paths[name] += "/below"
	}
	g := create(t, paths)
	dir, _, _ := g.Dir("cpu")
	if _, err := os.Stat(dir + "/cpu.rt_runtime_us"); err != nil {
		need.Feature(t, "rtgroups", false, "the kernel does not divide realtime among cgroups")
	}
	change := cpu(specs.LinuxCPU{RealtimePeriod: new(uint64(500000)), RealtimeRuntime: new(int64(10000))})
	if _, err := g.Update(nil, &change); err != nil {
		t.Fatal(err)
	}
	g.holds(t, want{"cpu", "cpu.rt_runtime_us", "10000"})
	g.holds(t, want{"cpu", "cpu.rt_period_us", "500000"})
	if err := g.Remove(ctx); err != nil {
		t.Error(err)
	}
}
