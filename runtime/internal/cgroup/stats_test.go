package cgroup

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// What a process in the group uses is counted.
func TestStats(t *testing.T) {
	g := create(t, pathsIn(t, "stats", hierarchies(t)...))
	limits := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: new(int64(64 << 20)), Swap: new(int64(80 << 20))},
		CPU:    &specs.LinuxCPU{Quota: new(int64(5000)), Period: new(uint64(50000)), Cpus: "0"},
		Pids:   &specs.LinuxPids{Limit: new(int64(33))},
	}
	if err := g.Set(limits); err != nil {
		t.Fatal(err)
	}
	start(t, g, "x=$(head -c 10000000 /dev/zero | tr '\\0' x); i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done; echo ready; sleep 60; :")
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{
		"processor time":      s.CPU.Usage.Total > uint64(5*time.Millisecond),
		"its parts":           s.CPU.Usage.Kernel+s.CPU.Usage.User > 0 && s.CPU.Usage.Kernel+s.CPU.Usage.User < 2*s.CPU.Usage.Total,
		"throttling":          s.CPU.Throttling.Periods > 0 && s.CPU.Throttling.ThrottledPeriods > 0 && s.CPU.Throttling.ThrottledTime > 0,
		"processors":          slices.Equal(s.CPUSet.CPUs, []uint16{0}) && len(s.CPUSet.Mems) > 0,
		"memory":              s.Memory.Usage.Usage > 6<<20 && s.Memory.Usage.Usage < 64<<20,
		"limit of memory":     s.Memory.Usage.Limit == 64<<20,
		"limit with swap":     s.Memory.Swap.Limit == 80<<20,
		"memory with swap":    s.Memory.Swap.Usage >= s.Memory.Usage.Usage,
		"memory.stat":         len(s.Memory.Raw) > 10,
		"processes":           s.Pids.Current >= 1 && s.Pids.Current < 10 && s.Pids.Limit == 33,
		"sizes of huge pages": s.Hugetlb != nil,
	} {
		if !ok {
			text, _ := json.Marshal(s)
			t.Errorf("%s: %s", name, text)
		}
	}
	if dir, v2, _ := g.Dir("cpuacct"); !v2 {
		text, _ := readIn(dir, "cpuacct.usage_percpu")
		if len(s.CPU.Usage.Percpu) != len(strings.Fields(text)) || len(s.CPU.Usage.PercpuUser) != len(s.CPU.Usage.Percpu) ||
			s.CPU.Usage.Percpu[0] == 0 || s.Memory.Usage.Max < s.Memory.Usage.Usage || s.CPUSet.SchedLoadBalance != 1 {
			t.Errorf("%+v", s)
		}
	} else if _, err := os.Stat("/proc/pressure"); err == nil && (s.CPU.PSI == nil || s.CPU.PSI.Some.Total == 0 || s.Memory.PSI == nil || s.Blkio.PSI == nil) {
		t.Errorf("pressure: %+v %+v %+v", s.CPU.PSI, s.Memory.PSI, s.Blkio.PSI)
	}
}

// The names are what readers know.
func TestStatsNames(t *testing.T) {
	psi := &PSI{Some: PSIData{1, 2, 3, 4}}
	s := &Stats{
		CPU:     CPUStats{Usage: CPUUsage{Total: 3, Percpu: []uint64{1, 2}, PercpuKernel: []uint64{1}, PercpuUser: []uint64{2}, Kernel: 1, User: 2}, PSI: psi},
		Memory:  MemoryStats{Cache: 1, Usage: MemoryEntry{math.MaxUint64, 1, 2, 3}, Raw: map[string]uint64{"anon": 1}},
		Pids:    PidsStats{1, 2},
		Blkio:   BlkioStats{IoServiceBytesRecursive: []BlkioEntry{{8, 16, "Read", 1}}},
		Hugetlb: map[string]HugetlbStats{"2MB": {1, 2, 3}},
	}
	s.CPU.Throttling = Throttling{1, 2, 3}
	got, err := json.Marshal(s)
	const want = `{"cpu":{"usage":{"total":3,"percpu":[1,2],"percpu_kernel":[1],"percpu_user":[2],"kernel":1,"user":2},` +
		`"throttling":{"periods":1,"throttledPeriods":2,"throttledTime":3},` +
		`"psi":{"some":{"avg10":1,"avg60":2,"avg300":3,"total":4},"full":{"avg10":0,"avg60":0,"avg300":0,"total":0}}},` +
		`"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,` +
		`"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},` +
		`"memory":{"cache":1,"usage":{"limit":18446744073709551615,"usage":1,"max":2,"failcnt":3},` +
		`"swap":{"limit":0,"failcnt":0},"kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0},"raw":{"anon":1}},` +
		`"pids":{"current":1,"limit":2},` +
		`"blkio":{"ioServiceBytesRecursive":[{"major":8,"minor":16,"op":"Read","value":1}]},` +
		`"hugetlb":{"2MB":{"usage":1,"max":2,"failcnt":3}}}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

func TestStatsText(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"io.stat":      "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n253:0 rbytes=7\nbad\n",
		"cpu.pressure": "some avg10=1.50 avg60=2.00 avg300=0.25 total=77\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=7\n",
		"x.list":       "0-2,7\n",
		"old":          "8:0 Read 12\n8:0 Total 12\n8:16 5\nTotal 12\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := source{dir: dir}
	var b BlkioStats
	ioStatsV2(&b, &in)
	if want := []BlkioEntry{{8, 16, "Read", 1}, {8, 16, "Write", 2}, {8, 16, "Discard", 5}, {253, 0, "Read", 7}}; !slices.Equal(b.IoServiceBytesRecursive, want) {
		t.Errorf("%+v", b)
	}
	if p := in.pressure("cpu.pressure"); *p != (PSI{PSIData{1.5, 2, 0.25, 77}, PSIData{0.5, 0, 0, 7}}) {
		t.Errorf("%+v", p)
	}
	if l := in.list("x.list"); !slices.Equal(l, []uint16{0, 1, 2, 7}) {
		t.Errorf("%v", l)
	}
	if e := in.entries("old"); !slices.Equal(e, []BlkioEntry{{8, 0, "Read", 12}, {8, 0, "Total", 12}, {Major: 8, Minor: 16, Value: 5}}) {
		t.Errorf("%+v", e)
	}
	if in.err != nil || in.number("missing") != 0 {
		t.Errorf("%v", in.err)
	}
}

func TestStatsOfNothing(t *testing.T) {
	g := create(t, pathsIn(t, "nostats", hierarchies(t)...))
	if err := g.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Stats(); err == nil || !gone(err) {
		t.Errorf("statistics of a group that is gone: %v", err)
	}
	if _, err := new(Group).Stats(); err == nil {
		t.Error("statistics of no group")
	}
}

// A process that wants too much memory is reported, and so is the end of the group.
func TestWatchOOM(t *testing.T) {
	g := create(t, pathsIn(t, "oom", hierarchies(t)...))
	if err := g.Set(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(int64(16 << 20)), Swap: new(int64(16 << 20))}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	events, err := g.WatchOOM(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cmd := start(t, g, "echo ready; tail /dev/zero; sleep 60")
	if _, ok := <-events; !ok || ctx.Err() != nil {
		t.Fatal("nothing is told")
	}
	for range 500 { // v1 tells before it kills
		if n, err := g.OOMKills(); n > 0 || err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	short, err := g.Shortage()
	if err != nil || short == nil || short.Kills == 0 || short.Limit != 16<<20 || short.Peak < 8<<20 {
		t.Errorf("%+v, %v", short, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err := g.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	for range events {
	}
	if ctx.Err() != nil {
		t.Error("the end of the group is not told")
	}
}

func TestWatchOOMEndsWithContext(t *testing.T) {
	g := create(t, pathsIn(t, "oomctx", hierarchies(t)...))
	ctx, cancel := context.WithCancel(ctx)
	events, err := g.WatchOOM(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case _, ok := <-events:
		if ok {
			t.Error("something is told")
		}
	case <-time.After(5 * time.Second):
		t.Error("it goes on")
	}
}
