package cgroup

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// settingsV1 translates limits for cgroup v1. The limit of all kernel memory has no effect
// on any kernel we support and is left out, as runc does.
func settingsV1(r *specs.LinuxResources) (l list) {
	if len(r.Unified) > 0 {
		l.fail("unified", "invalid configuration: needs cgroup v2")
	}
	memoryV1(&l, r.Memory)
	cpuV1(&l, r.CPU)
	if r.Pids != nil && r.Pids.Limit != nil {
		l.add("pids.limit", "pids", "pids.max", countOrMax(*r.Pids.Limit)).fresh = *r.Pids.Limit < 0
	}
	blockIOV1(&l, r.BlockIO)
	hugepages(&l, r.HugepageLimits, "limit_in_bytes")
	if n := r.Network; n != nil {
		if n.ClassID != nil {
			s := l.add("network.classID", "net_cls", "net_cls.classid", strconv.FormatUint(uint64(*n.ClassID), 10))
			s.fresh, s.may = *n.ClassID == 0, *n.ClassID == 0
		}
		for i, p := range n.Priorities {
			l.add(fmt.Sprintf("network.priorities[%d]", i), "net_prio", "net_prio.ifpriomap", fmt.Sprintf("%s %d", p.Name, p.Priority)).key = p.Name
		}
	}
	rdma(&l, r.Rdma)
	return l
}

func memoryV1(l *list, m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	const c = "memory"
	if m.UseHierarchy != nil && *m.UseHierarchy {
		// Since Linux 5.11 it is always so. Without, before, there is nothing to be done
		// for a group below one that has it.
		l.add("memory.useHierarchy", c, "memory.use_hierarchy", "1")
	}
	l.number("memory.limit", c, "memory.limit_in_bytes", m.Limit)
	if isUnlimited(m.Limit) && (m.Swap == nil || *m.Swap == 0) {
		s := l.add("memory.limit", c, "memory.memsw.limit_in_bytes", "-1") // or the old sum still limits
		s.may, s.fresh = true, true
	} else if m.Swap != nil && *m.Swap != 0 {
		s := l.add("memory.swap", c, "memory.memsw.limit_in_bytes", strconv.FormatInt(*m.Swap, 10))
		s.may = *m.Swap < 0 // a kernel that does not count swap gives that anyway
	}
	l.number("memory.reservation", c, "memory.soft_limit_in_bytes", m.Reservation)
	l.number("memory.kernelTCP", c, "memory.kmem.tcp.limit_in_bytes", m.KernelTCP)
	if d := m.DisableOOMKiller; d != nil {
		value := "0"
		if *d {
			value = "1"
		}
		l.add("memory.disableOOMKiller", c, "memory.oom_control", value).fresh = !*d
	}
	if m.Swappiness != nil {
		l.add("memory.swappiness", c, "memory.swappiness", strconv.FormatUint(*m.Swappiness, 10))
	}
}

func cpuV1(l *list, p *specs.LinuxCPU) {
	if p == nil {
		return
	}
	const c = "cpu"
	if p.Idle != nil {
		s := l.add("cpu.idle", c, "cpu.idle", strconv.FormatInt(*p.Idle, 10))
		s.may, s.fresh = *p.Idle == 0, *p.Idle == 0
	}
	if p.Idle == nil || *p.Idle != 1 { // an idle group has no weight
		l.unsigned("cpu.shares", c, "cpu.shares", p.Shares)
	}
	l.unsigned("cpu.period", c, "cpu.cfs_period_us", p.Period)
	l.number("cpu.quota", c, "cpu.cfs_quota_us", p.Quota)
	if p.Burst != nil {
		s := l.add("cpu.burst", c, "cpu.cfs_burst_us", strconv.FormatUint(*p.Burst, 10))
		s.may, s.fresh = *p.Burst == 0, *p.Burst == 0
	}
	l.unsigned("cpu.realtimePeriod", c, "cpu.rt_period_us", p.RealtimePeriod)
	l.number("cpu.realtimeRuntime", c, "cpu.rt_runtime_us", p.RealtimeRuntime)
	l.cpuset("cpu.cpus", "cpuset.cpus", p.Cpus)
	l.cpuset("cpu.mems", "cpuset.mems", p.Mems)
}

func blockIOV1(l *list, b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	// Kernels since 5.0 have weights only with the BFQ scheduler, under another name.
	bfq := func(s *setting) { s.orFile, s.orValue = "blkio.bfq."+s.file[len("blkio."):], s.value }
	if is(b.Weight) {
		bfq(l.add("blockIO.weight", "blkio", "blkio.weight", strconv.Itoa(int(*b.Weight))))
	}
	if is(b.LeafWeight) {
		bfq(l.add("blockIO.leafWeight", "blkio", "blkio.leaf_weight", strconv.Itoa(int(*b.LeafWeight))))
	}
	for i, d := range b.WeightDevice {
		from := fmt.Sprintf("blockIO.weightDevice[%d]", i)
		if is(d.Weight) {
			bfq(l.device(from+".weight", "blkio", "blkio.weight_device", d.Major, d.Minor, strconv.Itoa(int(*d.Weight))))
		}
		if is(d.LeafWeight) {
			bfq(l.device(from+".leafWeight", "blkio", "blkio.leaf_weight_device", d.Major, d.Minor, strconv.Itoa(int(*d.LeafWeight))))
		}
	}
	for _, t := range throttles(b) {
		for i, d := range t.devices {
			l.device(fmt.Sprintf("blockIO.%s[%d]", t.name, i), "blkio", "blkio.throttle."+t.v1, d.Major, d.Minor, strconv.FormatUint(d.Rate, 10))
		}
	}
}

// A throttle is one of the four limits of rate.
type throttle struct {
	name, v1, v2 string
	devices      []specs.LinuxThrottleDevice
}

func throttles(b *specs.LinuxBlockIO) [4]throttle {
	return [...]throttle{
		{"throttleReadBpsDevice", "read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", "write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", "read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", "write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	}
}

// hugepages limits the pages in use and, where the kernel counts them, those that are
// reserved: without the second limit a page that is reserved is killed for when it is used.
func hugepages(l *list, limits []specs.LinuxHugepageLimit, file string) {
	for i, h := range limits {
		from, value := fmt.Sprintf("hugepageLimits[%d]", i), strconv.FormatUint(h.Limit, 10)
		if !isPageSize(h.Pagesize) {
			l.fail(from+".pageSize", unsupportedPageSize(h.Pagesize))
			return
		}
		l.add(from, "hugetlb", "hugetlb."+h.Pagesize+"."+file, value)
		l.add(from, "hugetlb", "hugetlb."+h.Pagesize+".rsvd."+file, value).may = true
	}
}

func rdma(l *list, limits map[string]specs.LinuxRdma) {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		for _, v := range [...]struct {
			part  string
			value *uint32
		}{{"hca_handle", limits[name].HcaHandles}, {"hca_object", limits[name].HcaObjects}} {
			if v.value != nil {
				s := l.add(fmt.Sprintf("rdma[%q]", name), "rdma", "rdma.max", fmt.Sprintf("%s %s=%d", name, v.part, *v.value))
				s.key, s.part = name, v.part
			}
		}
	}
}

func countOrMax(n int64) string {
	if n < 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}
