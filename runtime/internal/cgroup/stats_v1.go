package cgroup

import (
	"math"
	"strconv"
	"strings"
)

// tick is what cpuacct.stat counts in, in nanoseconds: USER_HZ is 100 everywhere.
const tick = 10_000_000

// statsV1 reads the counters of the groups of v1.
func (g *Group) statsV1(s *Stats) error {
	for _, c := range [...]struct {
		controller string
		read       func(*Stats, *source)
	}{
		{"cpuacct", cpuacctStats},
		{"cpu", throttlingStats},
		{"cpuset", cpusetStats},
		{"memory", memoryStatsV1},
		{"pids", pidsStats},
		{"blkio", blkioStats},
		{"hugetlb", hugetlbStats},
	} {
		dir, v2, ok := g.Dir(c.controller)
		if !ok || v2 {
			continue
		}
		in := source{dir: dir}
		if c.read(s, &in); in.err != nil {
			return in.err
		}
	}
	return nil
}

func cpuacctStats(s *Stats, in *source) {
	u := &s.CPU.Usage
	u.Total = in.number("cpuacct.usage")
	stat := in.numbers("cpuacct.stat")
	u.Kernel, u.User = stat["system"]*tick, stat["user"]*tick
	for n := range strings.FieldsSeq(in.text("cpuacct.usage_percpu")) {
		u.Percpu = append(u.Percpu, parseCount(n))
	}
	lines := in.text("cpuacct.usage_all") // "cpu user system", and a line for each
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] != "cpu" {
			u.PercpuUser = append(u.PercpuUser, parseCount(f[1]))
			u.PercpuKernel = append(u.PercpuKernel, parseCount(f[2]))
		}
	}
}

func throttlingStats(s *Stats, in *source) {
	stat := in.numbers("cpu.stat")
	s.CPU.Throttling = Throttling{Periods: stat["nr_periods"], ThrottledPeriods: stat["nr_throttled"], ThrottledTime: stat["throttled_time"]}
}

func cpusetStats(s *Stats, in *source) {
	c := &s.CPUSet
	in.cpuset(c, "cpuset.cpus", "cpuset.mems")
	for file, to := range map[string]*uint64{
		"cpu_exclusive": &c.CPUExclusive, "mem_hardwall": &c.MemHardwall, "mem_exclusive": &c.MemExclusive,
		"memory_migrate": &c.MemoryMigrate, "memory_spread_page": &c.MemorySpreadPage, "memory_spread_slab": &c.MemorySpreadSlab,
		"memory_pressure": &c.MemoryPressure, "sched_load_balance": &c.SchedLoadBalance,
	} {
		*to = in.number("cpuset." + file)
	}
	c.SchedRelaxDomainLevel, _ = strconv.ParseInt(strings.TrimSpace(in.text("cpuset.sched_relax_domain_level")), 10, 64)
}

func memoryStatsV1(s *Stats, in *source) {
	m := &s.Memory
	m.Raw = in.numbers("memory.stat")
	m.Cache = m.Raw["cache"]
	for name, to := range map[string]*MemoryEntry{"": &m.Usage, "memsw.": &m.Swap, "kmem.": &m.Kernel, "kmem.tcp.": &m.KernelTCP} {
		prefix := "memory." + name
		*to = MemoryEntry{
			Limit: in.number(prefix + "limit_in_bytes"), Usage: in.number(prefix + "usage_in_bytes"),
			Max: in.number(prefix + "max_usage_in_bytes"), Failcnt: in.number(prefix + "failcnt"),
		}
	}
}

func pidsStats(s *Stats, in *source) {
	s.Pids = PidsStats{Current: in.number("pids.current"), Limit: in.number("pids.max")}
	if s.Pids.Limit == math.MaxUint64 {
		s.Pids.Limit = 0
	}
}

// blkioStats reads what the scheduler counts: BFQ of what goes through it, throttling of all
// there is. The names between were CFQ's, until Linux 5.0.
func blkioStats(s *Stats, in *source) {
	b := &s.Blkio
	prefix := "blkio.bfq."
	if len(in.entries("blkio.bfq.io_serviced_recursive")) == 0 {
		prefix = "blkio.throttle."
	}
	for file, to := range map[string]*[]BlkioEntry{
		"io_service_bytes_recursive": &b.IoServiceBytesRecursive, "io_serviced_recursive": &b.IoServicedRecursive,
		"io_queued_recursive": &b.IoQueuedRecursive, "io_service_time_recursive": &b.IoServiceTimeRecursive,
		"io_wait_time_recursive": &b.IoWaitTimeRecursive, "io_merged_recursive": &b.IoMergedRecursive,
		"time_recursive": &b.IoTimeRecursive, "sectors_recursive": &b.SectorsRecursive,
	} {
		*to = in.entries(prefix + file)
	}
}

// entries reads lines such as "8:16 Read 4096" or "8:16 12", and leaves out the sum of all.
func (s *source) entries(file string) []BlkioEntry {
	var all []BlkioEntry
	for line := range strings.Lines(s.text(file)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		major, minor, ok := strings.Cut(f[0], ":")
		if !ok {
			continue
		}
		e := BlkioEntry{Major: parseCount(major), Minor: parseCount(minor), Value: parseCount(f[len(f)-1])}
		if len(f) == 3 {
			e.Op = f[1]
		}
		all = append(all, e)
	}
	return all
}

func hugetlbStats(s *Stats, in *source) {
	in.hugetlb(s.Hugetlb, func(p string) uint64 { return in.number(p + ".usage_in_bytes") },
		func(p string) uint64 { return in.number(p + ".max_usage_in_bytes") },
		func(p string) uint64 { return in.number(p + ".failcnt") })
}
