package cgroup

import (
	"maps"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Merge returns the limits that hold after an update: old with what change names laid over
// it. What an update does not name keeps its value, however deep it lies: a device of
// blockIO, a page size, an interface, a key of unified. Neither argument is changed, and the
// result shares no memory that a later Merge would write to. Both may be nil.
//
// What counts as not named is what every caller sends for it: nil, an empty string or list,
// and 0 where 0 is no limit that could be meant (memory, shares, quota, period, weights).
// The list of device rules is one value: it is replaced as a whole, as every caller sends
// the whole of it, or kept.
func Merge(old, change *specs.LinuxResources) *specs.LinuxResources {
	out := new(specs.LinuxResources)
	for _, r := range []*specs.LinuxResources{old, change} {
		if r != nil {
			overlay(out, r)
		}
	}
	return out
}

// overlay lays r over out, whose parts are its own.
func overlay(out, r *specs.LinuxResources) {
	if len(r.Devices) > 0 {
		out.Devices = slices.Clone(r.Devices)
	}
	dropUnified(out, r)
	if r.Memory != nil {
		out.Memory = own(out.Memory)
		mergeMemory(out.Memory, r.Memory)
	}
	if r.CPU != nil {
		out.CPU = own(out.CPU)
		mergeCPU(out.CPU, r.CPU)
	}
	if r.Pids != nil {
		out.Pids = own(out.Pids)
		given(&out.Pids.Limit, r.Pids.Limit)
	}
	if r.BlockIO != nil {
		out.BlockIO = own(out.BlockIO)
		mergeBlockIO(out.BlockIO, r.BlockIO)
	}
	out.HugepageLimits = upsert(out.HugepageLimits, r.HugepageLimits, func(a, b specs.LinuxHugepageLimit) bool {
		return a.Pagesize == b.Pagesize
	}, func(_, b specs.LinuxHugepageLimit) specs.LinuxHugepageLimit { return b })
	if r.Network != nil {
		out.Network = own(out.Network)
		given(&out.Network.ClassID, r.Network.ClassID)
		out.Network.Priorities = upsert(out.Network.Priorities, r.Network.Priorities, func(a, b specs.LinuxInterfacePriority) bool {
			return a.Name == b.Name
		}, func(_, b specs.LinuxInterfacePriority) specs.LinuxInterfacePriority { return b })
	}
	if len(r.Rdma) > 0 && out.Rdma == nil {
		out.Rdma = make(map[string]specs.LinuxRdma, len(r.Rdma))
	}
	for name, limit := range r.Rdma {
		have := out.Rdma[name]
		given(&have.HcaHandles, limit.HcaHandles)
		given(&have.HcaObjects, limit.HcaObjects)
		out.Rdma[name] = have
	}
	if len(r.Unified) > 0 && out.Unified == nil {
		out.Unified = make(map[string]string, len(r.Unified))
	}
	maps.Copy(out.Unified, r.Unified)
}

// own returns a copy of what p points to, or a new one.
func own[T any](p *T) *T {
	out := new(T)
	if p != nil {
		*out = *p
	}
	return out
}

// given takes over a value that is there.
func given[T any](to **T, v *T) {
	if v != nil {
		*to = new(*v)
	}
}

// nonzero takes over a value that is there and not 0.
func nonzero[T int64 | uint64 | uint16](to **T, v *T) {
	if v != nil && *v != 0 {
		*to = new(*v)
	}
}

func mergeMemory(out, m *specs.LinuxMemory) {
	nonzero(&out.Limit, m.Limit)
	nonzero(&out.Swap, m.Swap)
	if isUnlimited(m.Limit) && (m.Swap == nil || *m.Swap == 0) && out.Swap != nil {
		out.Swap = new(int64(-1)) // or the sum of both would still limit
	}
	nonzero(&out.Reservation, m.Reservation)
	nonzero(&out.Kernel, m.Kernel) //nolint:staticcheck // deprecated, and still to be kept
	nonzero(&out.KernelTCP, m.KernelTCP)
	given(&out.Swappiness, m.Swappiness)
	given(&out.DisableOOMKiller, m.DisableOOMKiller)
	given(&out.UseHierarchy, m.UseHierarchy)
	given(&out.CheckBeforeUpdate, m.CheckBeforeUpdate)
}

func isUnlimited(v *int64) bool { return v != nil && *v < 0 }

func mergeCPU(out, p *specs.LinuxCPU) {
	nonzero(&out.Shares, p.Shares)
	nonzero(&out.Quota, p.Quota)
	given(&out.Burst, p.Burst)
	nonzero(&out.Period, p.Period)
	nonzero(&out.RealtimeRuntime, p.RealtimeRuntime)
	nonzero(&out.RealtimePeriod, p.RealtimePeriod)
	given(&out.Idle, p.Idle)
	if p.Cpus != "" {
		out.Cpus = p.Cpus
	}
	if p.Mems != "" {
		out.Mems = p.Mems
	}
}

func mergeBlockIO(out, b *specs.LinuxBlockIO) {
	nonzero(&out.Weight, b.Weight)
	nonzero(&out.LeafWeight, b.LeafWeight)
	out.WeightDevice = upsert(out.WeightDevice, b.WeightDevice, func(a, b specs.LinuxWeightDevice) bool {
		return a.Major == b.Major && a.Minor == b.Minor
	}, func(a, b specs.LinuxWeightDevice) specs.LinuxWeightDevice {
		a.Major, a.Minor = b.Major, b.Minor
		nonzero(&a.Weight, b.Weight)
		nonzero(&a.LeafWeight, b.LeafWeight)
		return a
	})
	throttle := func(have *[]specs.LinuxThrottleDevice, more []specs.LinuxThrottleDevice) {
		*have = upsert(*have, more, func(a, b specs.LinuxThrottleDevice) bool {
			return a.Major == b.Major && a.Minor == b.Minor
		}, func(_, b specs.LinuxThrottleDevice) specs.LinuxThrottleDevice { return b })
	}
	throttle(&out.ThrottleReadBpsDevice, b.ThrottleReadBpsDevice)
	throttle(&out.ThrottleWriteBpsDevice, b.ThrottleWriteBpsDevice)
	throttle(&out.ThrottleReadIOPSDevice, b.ThrottleReadIOPSDevice)
	throttle(&out.ThrottleWriteIOPSDevice, b.ThrottleWriteIOPSDevice)
}

// upsert returns have with each of more in the place of the one it is about, or at the end.
func upsert[T any](have, more []T, same func(a, b T) bool, join func(a, b T) T) []T {
	if len(more) == 0 {
		return have
	}
	out := slices.Clone(have)
	for _, m := range more {
		if i := slices.IndexFunc(out, func(h T) bool { return same(h, m) }); i >= 0 {
			out[i] = join(out[i], m)
			continue
		}
		var zero T
		out = append(out, join(zero, m))
	}
	return out
}

// dropUnified forgets the keys of unified for which r names the property that is written to
// the same file: the younger word counts, and unified is written last.
func dropUnified(out, r *specs.LinuxResources) {
	if len(out.Unified) == 0 {
		return
	}
	m, c, b := r.Memory, r.CPU, r.BlockIO
	if m == nil {
		m = new(specs.LinuxMemory)
	}
	if c == nil {
		c = new(specs.LinuxCPU)
	}
	if b == nil {
		b = new(specs.LinuxBlockIO)
	}
	for key, named := range map[string]bool{
		"memory.max":      is(m.Limit),
		"memory.swap.max": is(m.Swap),
		"memory.low":      is(m.Reservation),
		"cpu.weight":      is(c.Shares),
		"cpu.weight.nice": is(c.Shares),
		"cpu.max":         is(c.Quota) || is(c.Period),
		"cpu.max.burst":   c.Burst != nil,
		"cpu.idle":        c.Idle != nil,
		"cpuset.cpus":     c.Cpus != "",
		"cpuset.mems":     c.Mems != "",
		"pids.max":        r.Pids != nil && r.Pids.Limit != nil,
		"io.weight":       is(b.Weight),
		"io.bfq.weight":   is(b.Weight),
	} {
		if named {
			delete(out.Unified, key)
		}
	}
	for _, h := range r.HugepageLimits {
		delete(out.Unified, "hugetlb."+h.Pagesize+".max")
	}
}

func is[T int64 | uint64 | uint16](v *T) bool { return v != nil && *v != 0 }
