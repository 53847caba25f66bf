package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// list collects settings. Its methods leave out what is not given.
type list []setting

func (l *list) add(from, controller, file, value string) {
	*l = append(*l, setting{from: from, controller: controller, file: file, value: value})
}

func (l *list) number(from, controller, file string, v *int64) {
	if v != nil && *v != 0 { // 0 means "not given" to all callers
		l.add(from, controller, file, strconv.FormatInt(*v, 10))
	}
}

func (l *list) unsigned(from, controller, file string, v *uint64) {
	if v != nil && *v != 0 {
		l.add(from, controller, file, strconv.FormatUint(*v, 10))
	}
}

func (l *list) cpuset(from, file, value string) {
	if value != "" {
		l.add(from, "cpuset", file, value)
	}
}

// last returns the setting added last, to say more about it.
func (l list) last() *setting { return &l[len(l)-1] }

// settingsV1 translates limits for cgroup v1. The limit of all kernel memory and
// useHierarchy have no effect on any kernel we support and are left out, as runc does.
func settingsV1(r *specs.LinuxResources) ([]setting, error) {
	var l list
	if len(r.Unified) > 0 {
		return nil, errors.New("linux.resources.unified: invalid configuration: needs cgroup v2")
	}
	memoryV1(&l, r.Memory)
	cpuV1(&l, r.CPU)
	if r.Pids != nil && r.Pids.Limit != nil {
		l.add("pids.limit", "pids", "pids.max", countOrMax(*r.Pids.Limit))
	}
	blockIOV1(&l, r.BlockIO)
	if err := hugepages(&l, r.HugepageLimits, "limit_in_bytes"); err != nil {
		return nil, err
	}
	if n := r.Network; n != nil {
		if n.ClassID != nil {
			l.add("network.classID", "net_cls", "net_cls.classid", strconv.FormatUint(uint64(*n.ClassID), 10))
		}
		for i, p := range n.Priorities {
			l.add(fmt.Sprintf("network.priorities[%d]", i), "net_prio", "net_prio.ifpriomap", fmt.Sprintf("%s %d", p.Name, p.Priority))
		}
	}
	rdma(&l, r.Rdma)
	return l, nil
}

func memoryV1(l *list, m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	const c = "memory"
	l.number("memory.limit", c, "memory.limit_in_bytes", m.Limit)
	if m.Limit != nil && *m.Limit == -1 && (m.Swap == nil || *m.Swap == 0) {
		l.add("memory.limit", c, "memory.memsw.limit_in_bytes", "-1") // or the old sum still limits
		l.last().may = true
	} else {
		l.number("memory.swap", c, "memory.memsw.limit_in_bytes", m.Swap)
	}
	l.number("memory.reservation", c, "memory.soft_limit_in_bytes", m.Reservation)
	l.number("memory.kernelTCP", c, "memory.kmem.tcp.limit_in_bytes", m.KernelTCP)
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		l.add("memory.disableOOMKiller", c, "memory.oom_control", "1")
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
		l.add("cpu.idle", c, "cpu.idle", strconv.FormatInt(*p.Idle, 10))
		l.last().may = *p.Idle == 0
	}
	if p.Idle == nil || *p.Idle != 1 { // an idle group has no weight
		l.unsigned("cpu.shares", c, "cpu.shares", p.Shares)
	}
	l.unsigned("cpu.period", c, "cpu.cfs_period_us", p.Period)
	l.number("cpu.quota", c, "cpu.cfs_quota_us", p.Quota)
	if p.Burst != nil {
		l.add("cpu.burst", c, "cpu.cfs_burst_us", strconv.FormatUint(*p.Burst, 10))
		l.last().may = *p.Burst == 0
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
	weight := func(from, kind, value string) {
		l.add(from, "blkio", "blkio."+kind, value)
		l.last().orFile, l.last().orValue = "blkio.bfq."+kind, value
	}
	if b.Weight != nil && *b.Weight != 0 {
		weight("blockIO.weight", "weight", strconv.Itoa(int(*b.Weight)))
	}
	if b.LeafWeight != nil && *b.LeafWeight != 0 {
		weight("blockIO.leafWeight", "leaf_weight", strconv.Itoa(int(*b.LeafWeight)))
	}
	for i, d := range b.WeightDevice {
		from := fmt.Sprintf("blockIO.weightDevice[%d]", i)
		if d.Weight != nil {
			weight(from, "weight_device", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.Weight))
		}
		if d.LeafWeight != nil {
			weight(from, "leaf_weight_device", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.LeafWeight))
		}
	}
	throttle := func(name, file string, devices []specs.LinuxThrottleDevice) {
		for i, d := range devices {
			l.add(fmt.Sprintf("blockIO.%s[%d]", name, i), "blkio", file, fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate))
		}
	}
	throttle("throttleReadBpsDevice", "blkio.throttle.read_bps_device", b.ThrottleReadBpsDevice)
	throttle("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", b.ThrottleWriteBpsDevice)
	throttle("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", b.ThrottleReadIOPSDevice)
	throttle("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", b.ThrottleWriteIOPSDevice)
}

// hugepages limits use and, where the kernel has it (5.7), reservation, because a process
// that may reserve more than it may use dies of SIGBUS when it uses it.
func hugepages(l *list, limits []specs.LinuxHugepageLimit, file string) error {
	for i, h := range limits {
		if h.Pagesize == "" || strings.ContainsAny(h.Pagesize, "/.\x00") {
			return fmt.Errorf("linux.resources.hugepageLimits[%d].pageSize: %q is not a page size", i, h.Pagesize)
		}
		from, value := fmt.Sprintf("hugepageLimits[%d]", i), strconv.FormatUint(h.Limit, 10)
		l.add(from, "hugetlb", "hugetlb."+h.Pagesize+"."+file, value)
		l.add(from, "hugetlb", "hugetlb."+h.Pagesize+".rsvd."+file, value)
		l.last().may = true
	}
	return nil
}

func rdma(l *list, limits map[string]specs.LinuxRdma) {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		value := name
		if n := limits[name].HcaHandles; n != nil {
			value += fmt.Sprintf(" hca_handle=%d", *n)
		}
		if n := limits[name].HcaObjects; n != nil {
			value += fmt.Sprintf(" hca_object=%d", *n)
		}
		l.add("rdma", "rdma", "rdma.max", value)
	}
}

func countOrMax(n int64) string {
	if n < 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

// readNumber reads a file that holds one number.
func readNumber(dir, file string) (int64, error) {
	text, err := readIn(dir, file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0, unix.EINVAL
	}
	return n, nil
}
