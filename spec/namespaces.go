package spec

import (
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var namespaceTypes = [...]specs.LinuxNamespaceType{
	specs.PIDNamespace, specs.NetworkNamespace, specs.MountNamespace, specs.IPCNamespace,
	specs.UTSNamespace, specs.UserNamespace, specs.CgroupNamespace, specs.TimeNamespace,
}

func (c *checker) namespaces(l *specs.Linux) {
	var seen uint64
	for i, ns := range l.Namespaces {
		n := index(namespaceTypes[:], ns.Type)
		switch {
		case ns.Type == "":
			c.missing().at("linux", "namespaces", i, "type")
		case n < 0:
			c.unknownWord(string(ns.Type), words(namespaceTypes[:])).
				words("namespace {"+quote(string(ns.Type))+" "+quote(ns.Path)+"} does not exist").
				at("linux", "namespaces", i, "type")
		case seen&(1<<n) != 0:
			name := quote(string(ns.Type))
			c.errorAt("duplicate "+name).words("malformed spec file: duplicated ns "+name).
				at("linux", "namespaces", i, "type")
		default:
			seen |= 1 << n
		}
		switch {
		case c.nul(ns.Path):
			c.errorAt(nulText).at("linux", "namespaces", i, "path")
		case ns.Path != "" && !path.IsAbs(ns.Path):
			c.errorf("must be absolute, found %s", quote(ns.Path)).at("linux", "namespaces", i, "path")
		}
	}
}

func (c *checker) rootlessUser() {
	if c.opts.Rootless && !c.has(specs.UserNamespace) {
		c.errorAt("a rootless container needs a user namespace").at("linux", "namespaces")
	}
}

// maxMappings is the kernel's UID_GID_MAP_MAX_EXTENTS.
const maxMappings = 340

func (c *checker) userMappings(l *specs.Linux) {
	joined, own := c.namespace(specs.UserNamespace)
	for _, m := range []struct {
		name string
		maps []specs.LinuxIDMapping
	}{{"uidMappings", l.UIDMappings}, {"gidMappings", l.GIDMappings}} {
		switch {
		case !own && len(m.maps) > 0:
			c.errorAt("needs a user namespace").at("linux", m.name)
		case own && joined == "" && len(m.maps) == 0:
			c.errorAt("required with a new user namespace").at("linux", m.name)
		}
		c.mappings(m.maps, "linux", m.name)
	}
}

// mappings checks the entries of one id map.
func (c *checker) mappings(maps []specs.LinuxIDMapping, at ...any) {
	if len(maps) > maxMappings {
		c.errorf("more than %d entries", maxMappings).at(at...)
		return
	}
	for i, m := range maps {
		if m.Size == 0 {
			c.errorAt("must be positive").at(under(at, i, "size")...)
			continue
		}
		// The last id, 4294967295, cannot be mapped.
		if uint64(m.ContainerID)+uint64(m.Size) > math.MaxUint32 || uint64(m.HostID)+uint64(m.Size) > math.MaxUint32 {
			c.errorAt("range exceeds 4294967295").at(under(at, i)...)
			continue
		}
		for j, e := range maps[:i] {
			if overlap(m.ContainerID, m.Size, e.ContainerID, e.Size) || overlap(m.HostID, m.Size, e.HostID, e.Size) {
				c.errorf("overlaps entry %d", j).at(under(at, i)...)
				break
			}
		}
	}
}

func overlap(a, an, b, bn uint32) bool {
	return uint64(a) < uint64(b)+uint64(bn) && uint64(b) < uint64(a)+uint64(an)
}

// maxOffset is half of the kernel's KTIME_SEC_MAX, the limit of
// /proc/PID/timens_offsets.
const maxOffset = math.MaxInt64 / 1_000_000_000 / 2

func (c *checker) timeOffsets(l *specs.Linux) {
	if len(l.TimeOffsets) == 0 {
		return
	}
	joined, own := c.namespace(specs.TimeNamespace)
	switch {
	case !own:
		c.errorAt("needs a time namespace").
			words("time namespace offsets specified, but time namespace isn't enabled in the config").
			at("linux", "timeOffsets")
	case joined != "":
		c.errorAt("not allowed together with a namespace path").at("linux", "timeOffsets")
	}
	for _, clock := range sortedKeys(l.TimeOffsets) {
		o := l.TimeOffsets[clock]
		if clock != "monotonic" && clock != "boottime" {
			c.errorf("unknown clock %s, one of monotonic and boottime", quote(clock)).
				at("linux", "timeOffsets", key(clock))
		}
		if o.Secs < -maxOffset || o.Secs > maxOffset {
			c.errorAt(strconv.FormatInt(o.Secs, 10)+" is "+rangeText(-maxOffset, maxOffset)).
				at("linux", "timeOffsets", key(clock), "secs")
		}
		if o.Nanosecs > 999_999_999 {
			c.errorf("%d is out of range (0 to 999999999)", o.Nanosecs).
				at("linux", "timeOffsets", key(clock), "nanosecs")
		}
	}
}

func (c *checker) netDevices(l *specs.Linux) {
	if len(l.NetDevices) == 0 {
		return
	}
	if !c.has(specs.NetworkNamespace) {
		c.errorAt("needs a network namespace").at("linux", "netDevices")
	}
	if c.opts.Rootless {
		c.errorAt("not possible in a rootless container").at("linux", "netDevices")
	}
	taken := map[string]bool{}
	for _, host := range sortedKeys(l.NetDevices) {
		c.interfaceName(host, "linux", "netDevices", key(host))
		name, at := host, []any{"linux", "netDevices", key(host)}
		if to := l.NetDevices[host].Name; to != "" {
			name, at = to, under(at, "name")
			c.interfaceName(to, at...)
		}
		if taken[name] {
			c.errorf("duplicate %s", quote(name)).at(at...)
		}
		taken[name] = true
	}
}

// interfaceName applies the kernel's dev_valid_name.
func (c *checker) interfaceName(name string, at ...any) {
	switch {
	case len(name) > 15:
		c.errorAt("longer than 15 bytes").at(at...)
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n\v\f\r") || control(name):
		c.errorAt("invalid interface name").at(at...)
	}
}
