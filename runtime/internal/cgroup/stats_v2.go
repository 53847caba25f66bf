package cgroup

import (
	"math"
	"strings"
)

// microsecond is what v2 counts time in, in nanoseconds.
const microsecond = 1000

// statsV2 reads the counters of a v2 group.
func statsV2(s *Stats, in source) error {
	cpu := in.numbers("cpu.stat")
	s.CPU = CPUStats{
		Usage: CPUUsage{
			Total:  cpu["usage_usec"] * microsecond,
			Kernel: cpu["system_usec"] * microsecond,
			User:   cpu["user_usec"] * microsecond,
		},
		Throttling: Throttling{
			Periods:          cpu["nr_periods"],
			ThrottledPeriods: cpu["nr_throttled"],
			ThrottledTime:    cpu["throttled_usec"] * microsecond,
		},
		PSI: in.pressure("cpu.pressure"),
	}
	in.cpuset(&s.CPUSet, "cpuset.cpus.effective", "cpuset.mems.effective")
	memoryStatsV2(&s.Memory, &in)
	s.Pids = PidsStats{Current: in.number("pids.current"), Limit: in.number("pids.max")}
	if s.Pids.Limit == math.MaxUint64 {
		s.Pids.Limit = 0
	}
	if s.Pids.Current == 0 { // without the controller
		pids, err := pidsBelow(in.dir)
		if err != nil {
			return err
		}
		s.Pids.Current = uint64(len(pids))
	}
	ioStatsV2(&s.Blkio, &in)
	in.hugetlb(s.Hugetlb, func(p string) uint64 { return in.number(p + ".current") }, func(string) uint64 { return 0 },
		func(p string) uint64 { return in.numbers(p + ".events")["max"] })
	return in.err
}

func memoryStatsV2(m *MemoryStats, in *source) {
	m.Raw = in.numbers("memory.stat")
	if len(m.Raw) == 0 {
		m.Raw = nil // no memory controller
		return
	}
	m.Cache = m.Raw["file"]
	m.Usage = MemoryEntry{
		Limit: in.number("memory.max"), Usage: in.number("memory.current"), Max: in.number("memory.peak"),
		Failcnt: in.numbers("memory.events")["max"],
	}
	// As on v1, where readers come from: memory and swap together. The peaks of both need
	// not have been at the same time.
	m.Swap = MemoryEntry{
		Limit: in.number("memory.swap.max"), Usage: in.number("memory.swap.current") + m.Usage.Usage,
		Failcnt: in.numbers("memory.swap.events")["max"],
	}
	if m.Swap.Limit > math.MaxUint64-m.Usage.Limit {
		m.Swap.Limit = math.MaxUint64
	} else {
		m.Swap.Limit += m.Usage.Limit
	}
	m.Kernel.Usage = m.Raw["kernel"]
	m.KernelTCP.Usage = m.Raw["sock"]
	m.PSI = in.pressure("memory.pressure")
}

// ioStatsV2 reads lines such as "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6".
func ioStatsV2(b *BlkioStats, in *source) {
	for line := range strings.Lines(in.text("io.stat")) {
		device, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		major, minor, ok := strings.Cut(device, ":")
		if !ok {
			continue
		}
		for item := range strings.FieldsSeq(rest) {
			key, value, _ := strings.Cut(item, "=")
			e := BlkioEntry{Major: parseCount(major), Minor: parseCount(minor), Value: parseCount(value)}
			switch key[0] {
			case 'r':
				e.Op = "Read"
			case 'w':
				e.Op = "Write"
			case 'd':
				e.Op = "Discard"
			}
			switch key {
			case "rbytes", "wbytes", "dbytes":
				b.IoServiceBytesRecursive = append(b.IoServiceBytesRecursive, e)
			case "rios", "wios", "dios":
				b.IoServicedRecursive = append(b.IoServicedRecursive, e)
			}
		}
	}
	b.PSI = in.pressure("io.pressure")
}
