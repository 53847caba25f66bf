package cgroup

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// settingsV2 translates limits for cgroup v2. What v2 has no counterpart for is an error,
// as the specification demands, but for the hints that every caller sends along to any
// host: swappiness, disableOOMKiller and network; and useHierarchy, which v2 always does.
func settingsV2(r *specs.LinuxResources) (l list) {
	if r.Pids != nil && r.Pids.Limit != nil {
		l.add("pids.limit", "pids", "pids.max", countOrMax(*r.Pids.Limit)).fresh = *r.Pids.Limit < 0
	}
	memoryV2(&l, r.Memory)
	blockIOV2(&l, r.BlockIO)
	cpuV2(&l, r.CPU)
	hugepages(&l, r.HugepageLimits, "max")
	rdma(&l, r.Rdma)
	// Last, so that who knows the files of v2 has the last word.
	for _, key := range slices.Sorted(maps.Keys(r.Unified)) {
		unifiedV2(&l, key, r.Unified[key])
	}
	return l
}

// unifiedV2 adds a key of unified. Each line is a command to the kernel by itself.
func unifiedV2(l *list, key, value string) {
	from := fmt.Sprintf("unified[%q]", key)
	if why := badUnified(key); why != "" {
		l.fail(from, why)
		return
	}
	value = strings.TrimSuffix(value, "\n")
	if strings.Contains(value, "\n") && !manyLines(key) {
		l.fail(from, "takes one line, found "+strconv.Itoa(strings.Count(value, "\n")+1))
		return
	}
	for line := range strings.SplitSeq(value, "\n") {
		s := l.add(from, "", key, line)
		if name, rest, ok := strings.Cut(line, " "); ok && manyLines(key) && name != "default" {
			s.key = name
			if part, _, ok := strings.Cut(rest, "="); ok {
				s.part = part
			}
		}
	}
}

// badUnified says why a key of unified cannot be.
func badUnified(key string) string {
	controller, param, ok := strings.Cut(key, ".")
	switch {
	case !ok || controller == "" || param == "" || strings.ContainsAny(key, "/\x00\n") || strings.Contains(key, ".."):
		return "not a cgroup file name"
	case controller == "cgroup":
		return "is managed by the runtime"
	}
	return ""
}

// manyLines tells whether a file has a line for each device or resource. A controller that
// is not known here may have such files.
func manyLines(file string) bool {
	controller, _, _ := strings.Cut(file, ".")
	switch controller {
	case "memory", "cpu", "cpuset", "pids", "hugetlb":
		return false
	}
	return true
}

func memoryV2(l *list, m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	swap, why := swapV2(m)
	if why != "" {
		l.fail("memory.swap", why)
	}
	if swap != "" { // before the limit: lowering the limit first would push memory out to swap
		s := l.add("memory.swap", "memory", "memory.swap.max", swap)
		s.may = swap == "max" || swap == "0" // a kernel without swap gives that anyway
		s.fresh = swap == "max"
	}
	if m.Limit != nil && *m.Limit != 0 {
		l.add("memory.limit", "memory", "memory.max", countOrMax(*m.Limit)).fresh = *m.Limit < 0
	}
	if m.Reservation != nil && *m.Reservation != 0 {
		l.add("memory.reservation", "memory", "memory.low", countOrMax(*m.Reservation))
	}
}

// swapV2 returns the limit for swap alone; the property limits memory and swap together. Or
// it says why there is none.
func swapV2(m *specs.LinuxMemory) (value, why string) {
	var limit, swap int64
	if m.Limit != nil {
		limit = *m.Limit
	}
	if m.Swap != nil {
		swap = *m.Swap
	}
	switch {
	case swap < 0 || swap == 0 && limit < 0:
		return "max", ""
	case swap == 0:
		return "", ""
	case limit < 0:
		return strconv.FormatInt(swap, 10), ""
	case limit == 0:
		return "", "unable to set swap limit without memory limit"
	case swap < limit:
		return "", fmt.Sprintf("memory+swap limit should be >= memory limit, %d is below %d", swap, limit)
	}
	return strconv.FormatInt(swap-limit, 10), ""
}

func cpuV2(l *list, p *specs.LinuxCPU) {
	if p == nil {
		return
	}
	for name, there := range map[string]bool{"realtimeRuntime": is(p.RealtimeRuntime), "realtimePeriod": is(p.RealtimePeriod)} {
		if there {
			l.fail("cpu."+name, "cgroup v2 has no limit for realtime processes")
		}
	}
	const c = "cpu"
	if p.Idle != nil {
		s := l.add("cpu.idle", c, "cpu.idle", strconv.FormatInt(*p.Idle, 10))
		s.may, s.fresh = *p.Idle == 0, *p.Idle == 0
	}
	if is(p.Shares) && (p.Idle == nil || *p.Idle != 1) {
		l.add("cpu.shares", c, "cpu.weight", strconv.FormatUint(cpuWeight(*p.Shares), 10))
	}
	if p.Burst != nil {
		s := l.add("cpu.burst", c, "cpu.max.burst", strconv.FormatUint(*p.Burst, 10))
		s.may, s.fresh = *p.Burst == 0, *p.Burst == 0
	}
	if from, value := cpuMax(p); value != "" {
		l.add(from, c, "cpu.max", value)
	}
	l.cpuset("cpu.cpus", "cpuset.cpus", p.Cpus)
	l.cpuset("cpu.mems", "cpuset.mems", p.Mems)
}

// cpuMax returns what belongs in cpu.max, and which property asks for it.
func cpuMax(p *specs.LinuxCPU) (from, value string) {
	if !is(p.Quota) && !is(p.Period) {
		return "", ""
	}
	from, value = "cpu.period", "max"
	if is(p.Quota) {
		from = "cpu.quota"
		value = countOrMax(*p.Quota)
	}
	if is(p.Period) {
		return from, value + " " + strconv.FormatUint(*p.Period, 10)
	}
	return from, value + " 100000" // µs, the kernel's default
}

// cpuWeight converts shares (2 to 262144) to a weight (1 to 10000) such that both ends and
// both defaults, 1024 and 100, meet: on a logarithmic scale, a parabola through the three
// points. It is the field's common formula, so that a container weighs the same under
// every runtime.
func cpuWeight(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	x := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (x*x+125*x)/612-7.0/34)))
}

func blockIOV2(l *list, b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	const none = "cgroup v2 has no such weight"
	if is(b.LeafWeight) {
		l.fail("blockIO.leafWeight", none)
	}
	if is(b.Weight) {
		w := uint64(*b.Weight)
		s := l.add("blockIO.weight", "io", "io.bfq.weight", strconv.FormatUint(w, 10))
		s.orFile, s.orValue = "io.weight", strconv.FormatUint(ioWeight(w), 10)
	}
	for i, d := range b.WeightDevice {
		from := fmt.Sprintf("blockIO.weightDevice[%d]", i)
		if is(d.LeafWeight) {
			l.fail(from+".leafWeight", none)
		}
		if is(d.Weight) {
			w := uint64(*d.Weight)
			s := l.device(from+".weight", "io", "io.bfq.weight", d.Major, d.Minor, strconv.FormatUint(w, 10))
			s.orFile, s.orValue = "io.weight", s.key+" "+strconv.FormatUint(ioWeight(w), 10)
		}
	}
	for _, t := range throttles(b) {
		for i, d := range t.devices {
			rate := "max" // what 0 means on v1
			if d.Rate != 0 {
				rate = strconv.FormatUint(d.Rate, 10)
			}
			l.device(fmt.Sprintf("blockIO.%s[%d]", t.name, i), "io", "io.max", d.Major, d.Minor, t.v2+"="+rate).part = t.v2
		}
	}
}

// ioWeight converts a weight of v1 (10 to 1000) to one of v2 (1 to 10000).
func ioWeight(w uint64) uint64 {
	if w < 10 {
		return 1
	}
	return 1 + (w-10)*9999/990
}
