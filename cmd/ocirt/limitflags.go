package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A limitFlag is a flag of update that names one property.
type limitFlag struct {
	name, usage string
	property    string // below linux.resources, as problems call it
	hidden      bool   // accepted because it once meant something
	set         func(*specs.LinuxResources, string) error
}

func limitFlags() []limitFlag {
	amount := func(to func(*specs.LinuxMemory) **int64) func(*specs.LinuxResources, string) error {
		return func(r *specs.LinuxResources, s string) error {
			if r.Memory == nil {
				r.Memory = &specs.LinuxMemory{}
			}
			return setAmount(to(r.Memory), s)
		}
	}
	signed := func(to func(*specs.LinuxCPU) **int64) func(*specs.LinuxResources, string) error {
		return func(r *specs.LinuxResources, s string) error { return setSigned(to(cpuOf(r)), s) }
	}
	unsigned := func(to func(*specs.LinuxCPU) **uint64) func(*specs.LinuxResources, string) error {
		return func(r *specs.LinuxResources, s string) error { return setUnsigned(to(cpuOf(r)), s) }
	}
	list := func(to func(*specs.LinuxCPU) *string) func(*specs.LinuxResources, string) error {
		return func(r *specs.LinuxResources, s string) error { *to(cpuOf(r)) = s; return nil }
	}
	return []limitFlag{
		{"blkio-weight", "relative weight of block I/O, 10 to 1000", "blockIO.weight", false, setBlkioWeight},
		{"cpu-period", "CFS period in microseconds", "cpu.period", false, unsigned(func(c *specs.LinuxCPU) **uint64 { return &c.Period })},
		{"cpu-quota", "CFS quota in microseconds in each period; -1 is no limit", "cpu.quota", false, signed(func(c *specs.LinuxCPU) **int64 { return &c.Quota })},
		{"cpu-burst", "CFS burst in microseconds: unused quota that may be used later", "cpu.burst", false, unsigned(func(c *specs.LinuxCPU) **uint64 { return &c.Burst })},
		{"cpu-share", "relative weight of processor time, from 2", "cpu.shares", false, unsigned(func(c *specs.LinuxCPU) **uint64 { return &c.Shares })},
		{"cpu-rt-period", "realtime period in microseconds (cgroup v1)", "cpu.realtimePeriod", false, unsigned(func(c *specs.LinuxCPU) **uint64 { return &c.RealtimePeriod })},
		{"cpu-rt-runtime", "realtime runtime in microseconds in each period (cgroup v1)", "cpu.realtimeRuntime", false, signed(func(c *specs.LinuxCPU) **int64 { return &c.RealtimeRuntime })},
		{"cpuset-cpus", "processors to run on, such as 0-2,4", "cpu.cpus", false, list(func(c *specs.LinuxCPU) *string { return &c.Cpus })},
		{"cpuset-mems", "memory nodes to use, such as 0", "cpu.mems", false, list(func(c *specs.LinuxCPU) *string { return &c.Mems })},
		{"cpu-idle", "1: run only when nobody else wants to; 0: not so", "cpu.idle", false, signed(func(c *specs.LinuxCPU) **int64 { return &c.Idle })},
		{"memory", "limit of memory", "memory.limit", false, amount(func(m *specs.LinuxMemory) **int64 { return &m.Limit })},
		{"memory-reservation", "memory that is left to it when memory is short", "memory.reservation", false, amount(func(m *specs.LinuxMemory) **int64 { return &m.Reservation })},
		{"memory-swap", "limit of memory and swap together", "memory.swap", false, amount(func(m *specs.LinuxMemory) **int64 { return &m.Swap })},
		{"pids-limit", "how many processes and threads there may be; -1 is no limit", "pids.limit", false, setPids},
		{"kernel-memory", "obsolete, ignored", "memory.kernel", true, amount(func(m *specs.LinuxMemory) **int64 {
			return &m.Kernel //nolint:staticcheck // deprecated, and still passed by callers
		})},
		{"kernel-memory-tcp", "obsolete, ignored on cgroup v2", "memory.kernelTCP", true, amount(func(m *specs.LinuxMemory) **int64 { return &m.KernelTCP })},
	}
}

func cpuOf(r *specs.LinuxResources) *specs.LinuxCPU {
	if r.CPU == nil {
		r.CPU = &specs.LinuxCPU{}
	}
	return r.CPU
}

func setBlkioWeight(r *specs.LinuxResources, s string) error {
	var n *uint64
	if err := setUnsigned(&n, s); err != nil {
		return err
	}
	if *n > math.MaxUint16 {
		return fmt.Errorf("out of range (10 to 1000), found %d", *n)
	}
	w := uint16(*n)
	r.BlockIO = &specs.LinuxBlockIO{Weight: &w}
	return nil
}

func setPids(r *specs.LinuxResources, s string) error {
	r.Pids = &specs.LinuxPids{}
	return setSigned(&r.Pids.Limit, s)
}

func setSigned(to **int64, s string) error {
	n, err := strconv.ParseInt(s, 10, 64)
	*to = &n
	return notNumber(s, err)
}

func setUnsigned(to **uint64, s string) error {
	n, err := strconv.ParseUint(s, 10, 64)
	*to = &n
	return notNumber(s, err)
}

// notNumber says in words of ours why text is not the number that is wanted.
func notNumber(s string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%q is too large", s)
	}
	return fmt.Errorf("%q is not a number", s)
}

func setAmount(to **int64, s string) error {
	n, err := parseAmount(s)
	*to = &n
	return err
}

// parseAmount reads an amount of memory as engines and people write it: a number, which may
// have a fraction, and a unit of which only the first letter counts (b, k, m, g, t or p, in
// powers of 1024). -1 is no limit.
func parseAmount(s string) (int64, error) {
	if s == "-1" {
		return -1, nil
	}
	text := strings.ToLower(s)
	number := strings.TrimRight(text, "bikmgtp ")
	unit := strings.TrimSpace(text[len(number):])
	power, ok := map[string]int{
		"": 0, "b": 0, "k": 1, "kb": 1, "kib": 1, "m": 2, "mb": 2, "mib": 2, "g": 3, "gb": 3, "gib": 3,
		"t": 4, "tb": 4, "tib": 4, "p": 5, "pb": 5, "pib": 5,
	}[unit]
	if !ok || strings.Trim(number, "0123456789.") != "" || number == "" {
		return 0, fmt.Errorf("%q is not an amount of memory, such as 512m", s)
	}
	factor := int64(1) << (10 * power)
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n <= math.MaxInt64/factor {
		return n * factor, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not an amount of memory, such as 512m", s)
	case f*float64(factor) >= math.MaxInt64:
		return 0, fmt.Errorf("%q is too large", s)
	}
	return int64(f * float64(factor)), nil
}
