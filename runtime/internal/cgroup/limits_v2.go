package cgroup

import (
	"errors"
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
// host: swappiness, disableOOMKiller and network.
func settingsV2(r *specs.LinuxResources) ([]setting, error) {
	var l list
	if r.Pids != nil && r.Pids.Limit != nil {
		l.add("pids.limit", "pids", "pids.max", countOrMax(*r.Pids.Limit))
	}
	if err := memoryV2(&l, r.Memory); err != nil {
		return nil, err
	}
	if err := blockIOV2(&l, r.BlockIO); err != nil {
		return nil, err
	}
	if err := cpuV2(&l, r.CPU); err != nil {
		return nil, err
	}
	if err := hugepages(&l, r.HugepageLimits, "max"); err != nil {
		return nil, err
	}
	rdma(&l, r.Rdma)
	for _, key := range slices.Sorted(maps.Keys(r.Unified)) {
		if err := checkUnified(key); err != nil {
			return nil, fmt.Errorf("linux.resources.unified[%q]: %w", key, err)
		}
		// Last, so that who knows the files of v2 has the last word.
		l.add(fmt.Sprintf("unified[%q]", key), "", key, strings.TrimSuffix(r.Unified[key], "\n"))
	}
	return l, nil
}

func checkUnified(key string) error {
	controller, param, ok := strings.Cut(key, ".")
	switch {
	case !ok || controller == "" || param == "" || strings.ContainsAny(key, "/\x00\n") || strings.Contains(key, ".."):
		return errors.New("not a cgroup file name")
	case controller == "cgroup":
		return errors.New("is managed by the runtime")
	}
	return nil
}

func memoryV2(l *list, m *specs.LinuxMemory) error {
	if m == nil {
		return nil
	}
	swap, err := swapV2(m)
	if err != nil {
		return err
	}
	if swap != "" { // before the limit: lowering the limit first would push memory out to swap
		l.add("memory.swap", "memory", "memory.swap.max", swap)
		l.last().may = swap == "max" || swap == "0" // a kernel without swap gives that anyway
	}
	if m.Limit != nil && *m.Limit != 0 {
		l.add("memory.limit", "memory", "memory.max", countOrMax(*m.Limit))
	}
	if m.Reservation != nil && *m.Reservation != 0 {
		l.add("memory.reservation", "memory", "memory.low", countOrMax(*m.Reservation))
	}
	return nil
}

// swapV2 returns the limit for swap alone; the property limits memory and swap together.
func swapV2(m *specs.LinuxMemory) (string, error) {
	var limit, swap int64
	if m.Limit != nil {
		limit = *m.Limit
	}
	if m.Swap != nil {
		swap = *m.Swap
	}
	switch {
	case swap == -1 || swap == 0 && limit == -1:
		return "max", nil
	case swap == 0:
		return "", nil
	case limit == -1:
		return strconv.FormatInt(swap, 10), nil
	case limit == 0:
		return "", errors.New("linux.resources.memory.swap: unable to set swap limit without memory limit")
	case swap < limit:
		return "", errors.New("linux.resources.memory.swap: memory+swap limit should be >= memory limit")
	}
	return strconv.FormatInt(swap-limit, 10), nil
}

func cpuV2(l *list, p *specs.LinuxCPU) error {
	if p == nil {
		return nil
	}
	if p.RealtimeRuntime != nil && *p.RealtimeRuntime != 0 || p.RealtimePeriod != nil && *p.RealtimePeriod != 0 {
		return errors.New("linux.resources.cpu.realtimeRuntime: cgroup v2 has no limit for realtime processes")
	}
	const c = "cpu"
	if p.Idle != nil {
		l.add("cpu.idle", c, "cpu.idle", strconv.FormatInt(*p.Idle, 10))
		l.last().may = *p.Idle == 0
	}
	if p.Shares != nil && *p.Shares != 0 && (p.Idle == nil || *p.Idle != 1) {
		l.add("cpu.shares", c, "cpu.weight", strconv.FormatUint(cpuWeight(*p.Shares), 10))
	}
	if p.Burst != nil {
		l.add("cpu.burst", c, "cpu.max.burst", strconv.FormatUint(*p.Burst, 10))
		l.last().may = *p.Burst == 0
	}
	quota, period := int64(0), uint64(0)
	if p.Quota != nil {
		quota = *p.Quota
	}
	if p.Period != nil {
		period = *p.Period
	}
	if quota != 0 || period != 0 {
		value := "max"
		if quota > 0 {
			value = strconv.FormatInt(quota, 10)
		}
		if period == 0 {
			period = 100000 // µs, the kernel's default
		}
		l.add("cpu.quota", c, "cpu.max", value+" "+strconv.FormatUint(period, 10))
	}
	l.cpuset("cpu.cpus", "cpuset.cpus", p.Cpus)
	l.cpuset("cpu.mems", "cpuset.mems", p.Mems)
	return nil
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

func blockIOV2(l *list, b *specs.LinuxBlockIO) error {
	if b == nil {
		return nil
	}
	if b.LeafWeight != nil && *b.LeafWeight != 0 {
		return errors.New("linux.resources.blockIO.leafWeight: cgroup v2 has no such weight")
	}
	if b.Weight != nil && *b.Weight != 0 {
		w := uint64(*b.Weight)
		l.add("blockIO.weight", "io", "io.bfq.weight", strconv.FormatUint(w, 10))
		l.last().orFile, l.last().orValue = "io.weight", strconv.FormatUint(ioWeight(w), 10)
	}
	for i, d := range b.WeightDevice {
		from := fmt.Sprintf("blockIO.weightDevice[%d]", i)
		if d.LeafWeight != nil && *d.LeafWeight != 0 {
			return fmt.Errorf("linux.resources.%s.leafWeight: cgroup v2 has no such weight", from)
		}
		if d.Weight != nil {
			w := uint64(*d.Weight)
			l.add(from, "io", "io.bfq.weight", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, w))
			l.last().orFile, l.last().orValue = "io.weight", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, ioWeight(w))
		}
	}
	throttle := func(name, key string, devices []specs.LinuxThrottleDevice) {
		for i, d := range devices {
			l.add(fmt.Sprintf("blockIO.%s[%d]", name, i), "io", "io.max", fmt.Sprintf("%d:%d %s=%d", d.Major, d.Minor, key, d.Rate))
		}
	}
	throttle("throttleReadBpsDevice", "rbps", b.ThrottleReadBpsDevice)
	throttle("throttleWriteBpsDevice", "wbps", b.ThrottleWriteBpsDevice)
	throttle("throttleReadIOPSDevice", "riops", b.ThrottleReadIOPSDevice)
	throttle("throttleWriteIOPSDevice", "wiops", b.ThrottleWriteIOPSDevice)
	return nil
}

// ioWeight converts a weight of v1 (10 to 1000) to one of v2 (1 to 10000).
func ioWeight(w uint64) uint64 {
	if w < 10 {
		return 1
	}
	return 1 + (w-10)*9999/990
}
