package spec

import (
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func (c *checker) memory(r *specs.LinuxResources) {
	if r == nil || r.Memory == nil {
		return
	}
	m := r.Memory
	at := []any{"linux", "resources", "memory"}
	for _, v := range []struct {
		name  string
		value *int64
	}{
		{"limit", m.Limit},
		{"reservation", m.Reservation},
		{"swap", m.Swap},
		{"kernel", m.Kernel}, //nolint:staticcheck // deprecated: said below
		{"kernelTCP", m.KernelTCP},
	} {
		if v.value != nil && *v.value < -1 {
			c.errorf("%d is not allowed (-1 means unlimited)", *v.value).at(under(at, v.name)...)
		}
		if v.value != nil && strings.HasPrefix(v.name, "kernel") {
			c.warn("deprecated, ignored on cgroup v2").at(under(at, v.name)...)
		}
	}
	if m.Swap != nil && m.Limit != nil && *m.Swap > 0 && *m.Limit > 0 && *m.Swap < *m.Limit {
		c.errorf("smaller than limit: %d is below %d", *m.Swap, *m.Limit).at(under(at, "swap")...)
	}
	if m.Swappiness != nil && *m.Swappiness > 100 {
		c.errorf("%d is out of range (0 to 100)", *m.Swappiness).at(under(at, "swappiness")...)
	}
}

func (c *checker) cpu(r *specs.LinuxResources) {
	if r == nil || r.CPU == nil {
		return
	}
	u := r.CPU
	at := []any{"linux", "resources", "cpu"}
	if u.Shares != nil && *u.Shares == 1 {
		c.errorf("smaller than 2, found %d", *u.Shares).at(under(at, "shares")...)
	}
	quota := u.Quota != nil && *u.Quota > 0
	if p := u.Period; p != nil && (*p != 0 || quota) && (*p < 1000 || *p > 1_000_000) {
		c.errorf("out of range (1000 to 1000000), found %d", *p).at(under(at, "period")...)
	}
	if quota && *u.Quota < 1000 {
		c.errorf("smaller than 1000, found %d", *u.Quota).at(under(at, "quota")...)
	}
	if quota && u.Burst != nil && *u.Burst > uint64(*u.Quota) {
		c.errorf("larger than quota: %d is above %d", *u.Burst, *u.Quota).at(under(at, "burst")...)
	}
	if u.Idle != nil && *u.Idle != 0 && *u.Idle != 1 {
		c.errorf("%d is out of range (0 to 1)", *u.Idle).at(under(at, "idle")...)
	}
	if u.Cpus != "" && !cpuList(u.Cpus) {
		c.errorf("bad list %s", quote(u.Cpus)).at(under(at, "cpus")...)
	}
	if u.Mems != "" && !cpuList(u.Mems) {
		c.errorf("bad list %s", quote(u.Mems)).at(under(at, "mems")...)
	}
}

func (c *checker) otherResources(r *specs.LinuxResources) {
	if r == nil {
		return
	}
	if r.Pids != nil && r.Pids.Limit != nil && *r.Pids.Limit < -1 {
		c.errorf("%d is not allowed (-1 means unlimited)", *r.Pids.Limit).at("linux", "resources", "pids", "limit")
	}
	for i, h := range r.HugepageLimits {
		switch {
		case h.Pagesize == "":
			c.missing().at("linux", "resources", "hugepageLimits", i, "pageSize")
		case !pageSize(h.Pagesize):
			c.errorf("unsupported %s, sizes look like 2MB or 1GB", quote(h.Pagesize)).
				at("linux", "resources", "hugepageLimits", i, "pageSize")
		}
	}
	c.priorities(r)
	c.rdma(r)
	c.blockDevices(r.BlockIO)
	if b := r.BlockIO; b != nil {
		at := []any{"linux", "resources", "blockIO"}
		c.weight(b.Weight, under(at, "weight"))
		c.weight(b.LeafWeight, under(at, "leafWeight"))
		for i, w := range b.WeightDevice {
			c.weight(w.Weight, under(at, "weightDevice", i, "weight"))
			c.weight(w.LeafWeight, under(at, "weightDevice", i, "leafWeight"))
		}
	}
}

// pageSize reports whether s looks like the kernel's name of a huge page size:
// a power of two and a unit.
func pageSize(s string) bool {
	digits := strings.TrimRight(s, "KMGTB")
	unit := s[len(digits):]
	if !has([]string{"B", "KB", "MB", "GB", "TB"}, unit) || len(digits) > 4 {
		return false
	}
	n, ok := cpuNumber(digits)
	return ok && digits[0] != '0' && n&(n-1) == 0
}

func (c *checker) weight(w *uint16, at []any) {
	if w != nil && *w != 0 && (*w < 10 || *w > 1000) {
		c.errorf("out of range (10 to 1000), found %d", *w).at(at...)
	}
}

func (c *checker) unified(r *specs.LinuxResources) {
	if r == nil {
		return
	}
	for _, name := range sortedKeys(r.Unified) {
		controller, param, ok := strings.Cut(name, ".")
		at := []any{"linux", "resources", "unified", key(name)}
		switch {
		case !ok || controller == "" || param == "" || !plain(strings.ReplaceAll(name, ".", "_")):
			c.errorAt("not a cgroup file name").at(at...)
		case controller == "cgroup":
			c.errorAt("is managed by the runtime").at(at...)
		default:
			c.unifiedValue(name, r.Unified[name], at)
		}
	}
}

func (c *checker) cgroupsPath(l *specs.Linux) {
	p := l.CgroupsPath
	if p == "" {
		return
	}
	at := []any{"linux", "cgroupsPath"}
	if control(p) {
		c.errorf("invalid name %s", quote(p)).at(at...)
		return
	}
	if c.opts.SystemdCgroup {
		c.systemdPath(p, at)
		return
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > 255 {
			c.errorf("invalid name: %s is longer than 255 bytes", quote(name)).at(at...)
			return
		}
	}
	clean := path.Clean("/" + p)
	switch {
	case clean == "/":
		c.errorAt("must not be the root").at(at...)
	case dotdot(p) && p[0] != '/':
		c.warn(`contains "..", taken as ` + bare(clean[1:])).at(at...)
	case dotdot(p):
		c.warn(`contains "..", taken as ` + bare(clean)).at(at...)
	}
}

// systemdPath checks slice:prefix:name.
func (c *checker) systemdPath(p string, at []any) {
	parts := strings.Split(p, ":")
	if len(parts) != 3 || parts[2] == "" {
		c.errorf("expected slice:prefix:name, found %s", quote(p)).at(at...)
		return
	}
	if slice := parts[0]; slice != "" && !sliceName(slice) {
		c.errorf("invalid slice name %s", quote(slice)).at(at...)
	}
	for _, part := range parts[1:] {
		if strings.Contains(part, "/") || len(part) > 255 {
			c.errorf("invalid name %s", quote(part)).at(at...)
		}
	}
}

// sliceName follows systemd.slice(5): a dash leads one level down, so that no
// level may be empty. "-.slice" is the root.
func sliceName(s string) bool {
	name, ok := strings.CutSuffix(s, ".slice")
	if !ok || strings.ContainsAny(s, "/ ") || len(s) > 255 {
		return false
	}
	if name == "-" {
		return true
	}
	for level := range strings.SplitSeq(name, "-") {
		if level == "" {
			return false
		}
	}
	return true
}
