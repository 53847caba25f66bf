package cgroup

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd"
	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// What systemd is not told of a limit it takes back: it writes the files of a unit anew when
// it reads its configuration again, and the default where it knows of nothing. So limits are
// properties of the unit and, as systemd writes the files only by and by, are written by us
// as well. Limits that systemd has no property for are safe from it.

// infinity is how systemd calls no limit.
const infinity = math.MaxUint64

// fitUnit changes values to ones that systemd can keep: it forgets parts of a percent of a
// processor, and has no limit of no process.
func fitUnit(settings []setting) {
	period := uint64(defaultPeriod)
	for _, s := range settings {
		if s.file == "cpu.cfs_period_us" {
			if n, err := strconv.ParseUint(s.value, 10, 64); err == nil && n > 0 {
				period = n
			}
		}
	}
	for i := range settings {
		s := &settings[i]
		switch s.file {
		case "pids.max":
			if s.value == "0" {
				s.value = "1"
			}
		case "cpu.cfs_quota_us":
			if n, err := strconv.ParseUint(s.value, 10, 64); err == nil {
				_, quota := perSecond(n, period)
				s.value = strconv.FormatUint(quota, 10)
			}
		case "cpu.max":
			if quota, period, ok := parseMax(s.value); ok && quota != infinity {
				_, quota = perSecond(quota, period)
				s.value = strconv.FormatUint(quota, 10) + " " + strconv.FormatUint(period, 10)
			}
		}
	}
}

// defaultPeriod of the kernel and of systemd, in microseconds.
const defaultPeriod = 100000

// parseMax reads "max 100000", "50000 100000" or "50000".
func parseMax(value string) (quota, period uint64, ok bool) {
	first, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	quota, period = infinity, defaultPeriod
	var err error
	if first != "max" {
		if quota, err = strconv.ParseUint(first, 10, 64); err != nil {
			return 0, 0, false
		}
	}
	if rest = strings.TrimSpace(rest); rest != "" {
		if period, err = strconv.ParseUint(rest, 10, 64); err != nil || period == 0 {
			return 0, 0, false
		}
	}
	return quota, period, true
}

// perSecond returns a quota in microseconds of processor per second, rounded up to what
// systemd keeps, 10 ms, and the quota that it makes of that.
func perSecond(quota, period uint64) (perSec, kept uint64) {
	const second, grain = 1000000, 10000
	hi, lo := bits.Mul64(quota, second)
	if hi >= period {
		return infinity, quota
	}
	perSec, rest := bits.Div64(hi, lo, period)
	if more := perSec % grain; more != 0 || rest != 0 {
		perSec += grain - more
	}
	hi, lo = bits.Mul64(perSec, period)
	if hi >= second {
		return infinity, quota
	}
	kept, _ = bits.Div64(hi, lo, second)
	return perSec, kept
}

// unitProperties translates settings for systemd of a version; 0 is an unknown one, taken
// for new. Which file a value is for says what it means, so that limits and the keys of
// unified need one table.
func unitProperties(settings []setting, version int) []systemd.Property {
	if version == 0 {
		version = math.MaxInt
	}
	p := &propertyList{version: version}
	for _, s := range settings {
		p.add(s)
	}
	return replacing(p.list)
}

type propertyList struct {
	version int
	list    []systemd.Property
	period  uint64 // of cpu.cfs_period_us
}

// put adds a property, in place of an earlier one of the name.
func (p *propertyList) put(name string, since int, v dbus.Value) {
	if p.version < since {
		return
	}
	p.list = slices.DeleteFunc(p.list, func(q systemd.Property) bool { return q.Name == name })
	p.list = append(p.list, systemd.Property{Name: name, Value: v})
}

// number adds a property that is a number, "max" or "-1".
func (p *propertyList) number(name string, since int, value string) {
	value = strings.TrimSpace(value)
	if value == "max" || strings.HasPrefix(value, "-") {
		p.put(name, since, dbus.Uint64(infinity))
		return
	}
	if n, err := strconv.ParseUint(value, 10, 64); err == nil {
		p.put(name, since, dbus.Uint64(n))
	}
}

func (p *propertyList) add(s setting) {
	switch s.file {
	case "memory.max":
		p.number("MemoryMax", 231, s.value)
	case "memory.high":
		p.number("MemoryHigh", 231, s.value)
	case "memory.low":
		p.number("MemoryLow", 231, s.value)
	case "memory.min":
		p.number("MemoryMin", 240, s.value)
	case "memory.swap.max":
		p.number("MemorySwapMax", 232, s.value)
	case "memory.limit_in_bytes":
		p.number("MemoryLimit", 0, s.value)
	case "pids.max":
		p.number("TasksMax", 227, s.value)
	case "cpu.weight":
		p.number("CPUWeight", 232, s.value)
	case "cpu.shares":
		p.number("CPUShares", 0, s.value)
	case "cpu.idle":
		p.idle(s.value)
	case "cpu.max":
		if quota, period, ok := parseMax(s.value); ok {
			p.quota(quota, period)
		}
	case "cpu.cfs_period_us":
		p.period, _ = strconv.ParseUint(s.value, 10, 64)
	case "cpu.cfs_quota_us":
		quota, err := strconv.ParseUint(s.value, 10, 64)
		if err != nil {
			quota = infinity
		}
		period := p.period
		if period == 0 {
			period = defaultPeriod
		}
		p.quota(quota, period)
	case "cpuset.cpus":
		p.set("AllowedCPUs", s.value)
	case "cpuset.mems":
		p.set("AllowedMemoryNodes", s.value)
	case "blkio.weight", "blkio.weight_device":
		p.weight("BlockIOWeight", "BlockIODeviceWeight", 0, s, false)
	case "blkio.bfq.weight", "blkio.bfq.weight_device":
		p.weight("BlockIOWeight", "BlockIODeviceWeight", 0, s, true)
	case "blkio.throttle.read_bps_device":
		p.device("BlockIOReadBandwidth", 0, s.key, strings.TrimPrefix(s.value, s.key+" "))
	case "blkio.throttle.write_bps_device":
		p.device("BlockIOWriteBandwidth", 0, s.key, strings.TrimPrefix(s.value, s.key+" "))
	case "io.weight":
		p.weight("IOWeight", "IODeviceWeight", 230, s, false)
	case "io.bfq.weight":
		p.weight("IOWeight", "IODeviceWeight", 230, s, true)
	case "io.max":
		p.throttle(s.value)
	}
}

// idle is a weight of 0 to systemd. Who is not idle has the weight that was said, or the
// default.
func (p *propertyList) idle(value string) {
	switch strings.TrimSpace(value) {
	case "1":
		p.put("CPUWeight", 252, dbus.Uint64(0))
	case "0":
		if !slices.ContainsFunc(p.list, func(q systemd.Property) bool { return q.Name == "CPUWeight" }) {
			p.put("CPUWeight", 252, dbus.Uint64(infinity))
		}
	}
}

func (p *propertyList) quota(quota, period uint64) {
	perSec := uint64(infinity)
	if quota != infinity {
		perSec, _ = perSecond(quota, period)
	}
	p.put("CPUQuotaPerSecUSec", 213, dbus.Uint64(perSec))
	p.put("CPUQuotaPeriodUSec", 242, dbus.Uint64(period))
}

// set adds a list of processors or nodes as a mask. What is no list the kernel will refuse.
func (p *propertyList) set(name, value string) {
	spans, ok := parseList(value)
	if strings.TrimSpace(value) == "" {
		spans, ok = nil, true
	}
	if !ok {
		return
	}
	var mask []byte
	for _, s := range spans {
		for n := s.from; n <= s.to; n++ {
			for len(mask) <= n/8 {
				mask = append(mask, 0)
			}
			mask[n/8] |= 1 << (n % 8)
		}
	}
	p.put(name, 244, dbus.Bytes(mask))
}

// tellUnit gives the limits of a new container to systemd.
func (g *Group) tellUnit(l list, given []specs.LinuxDeviceCgroup) error {
	if g.Unit == nil {
		return nil
	}
	rules, err := deviceRules(given)
	if err != nil {
		return err
	}
	return g.Unit.with(func(m *systemd.Manager) error {
		settings := g.inPlace(l.settings)
		list := unitProperties(settings, m.Version)
		if !g.Unit.User { // the user's systemd may not attach filters
			list = append(list, deviceProperties(fold(rules))...)
		}
		return g.tell(m, list, overwrites(settings))
	})
}

// tell changes properties of the unit, and waits if ours have to be written after systemd's.
func (g *Group) tell(m *systemd.Manager, list []systemd.Property, wait bool) error {
	if err := m.SetProperties(g.Unit.Name, list); err != nil || !wait || len(list) == 0 {
		return err
	}
	return m.Settle()
}

// changeUnit gives changed limits to systemd, and returns how to take them back.
func (g *Group) changeUnit(old, change *specs.LinuxResources) (takeBack func() error, err error) {
	if g.Unit == nil {
		return func() error { return nil }, nil
	}
	before, after := g.settings(Merge(old, nil)), g.settings(Merge(old, change))
	var rules []deviceRule
	if len(change.Devices) > 0 && !g.Unit.User {
		if rules, err = deviceRules(change.Devices); err != nil {
			return nil, err
		}
	}
	oom := ""
	if _, asked := oomSetting(after.settings); asked {
		oom = g.oomGroupNow()
	}
	named := g.inPlace(g.settings(change).settings)
	tell := func(from, to list, rules []deviceRule) error {
		return g.Unit.with(func(m *systemd.Manager) error {
			settings := g.inPlace(to.settings)
			list := changed(unitProperties(g.inPlace(from.settings), m.Version), unitProperties(settings, m.Version), unitProperties(named, m.Version))
			if rules != nil {
				list = append(list, deviceProperties(fold(rules))...)
			}
			if err := g.tell(m, list, overwrites(settings)); err != nil {
				return err
			}
			return g.setOOMGroup(m, to, oom)
		})
	}
	takeBack = func() error {
		if rules != nil {
			var given []specs.LinuxDeviceCgroup
			if old != nil {
				given = old.Devices
			}
			var err error
			if rules, err = deviceRules(given); err != nil {
				return err
			}
		}
		return tell(after, before, rules)
	}
	if err := tell(before, after, rules); err != nil {
		return nil, errors.Join(err, takeBack())
	}
	return takeBack, nil
}

// changed leaves of the properties that hold from now on those that held otherwise before, and
// those that are named: what is nobody's concern now is not written again. What held and does
// not any more gets its default.
func changed(before, after, named []systemd.Property) []systemd.Property {
	all := withDefaults(after, before)
	return filter(all, func(p systemd.Property) bool {
		same := func(q systemd.Property) bool { return q.Name == p.Name }
		return slices.ContainsFunc(named, same) || fmt.Sprint(filter(all, same)) != fmt.Sprint(filter(before, same))
	})
}

func filter(list []systemd.Property, keep func(systemd.Property) bool) (out []systemd.Property) {
	for _, p := range list {
		if keep(p) {
			out = append(out, p)
		}
	}
	return out
}

// withDefaults adds to a list the defaults of those that it lacks of others.
func withDefaults(list, others []systemd.Property) []systemd.Property {
	for _, p := range others {
		if slices.ContainsFunc(list, func(q systemd.Property) bool { return q.Name == p.Name }) {
			continue
		}
		switch p.Name {
		case "MemoryLow", "MemoryMin":
			p.Value = dbus.Uint64(0)
		case "AllowedCPUs", "AllowedMemoryNodes":
			p.Value = dbus.Bytes(nil)
		default:
			if a, ok := p.Value.(dbus.Array); ok {
				p.Value = dbus.Array{Elem: a.Elem}
				break
			}
			p.Value = dbus.Uint64(infinity)
		}
		list = append(list, p)
	}
	return list
}
