package spec

import (
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Limits of the kernel's dev_t.
const (
	maxMajor = 1<<12 - 1
	maxMinor = 1<<20 - 1
)

func (c *checker) devices(l *specs.Linux) {
	earlier := map[string]*specs.LinuxDevice{} // by clean path
	for i := range l.Devices {
		c.device(&l.Devices[i], earlier, func(more ...any) []any {
			return append([]any{"linux", "devices", i}, more...)
		})
	}
}

func (c *checker) device(d *specs.LinuxDevice, earlier map[string]*specs.LinuxDevice, at spot) {
	c.devicePath(earlier, d, at)
	switch d.Type {
	case "":
		c.missing().at(at("type")...)
	case "c", "b", "u":
		c.deviceNumber(d.Major, maxMajor, "major", at)
		c.deviceNumber(d.Minor, maxMinor, "minor", at)
	case "p":
	default:
		c.errorf("unknown %s", quote(d.Type)).at(at("type")...)
	}
	// Some engines hand over all of st_mode, with the type of the file.
	const fileType = 0o170000
	if d.FileMode != nil && *d.FileMode&^fileType > 0o7777 {
		c.errorf("larger than 07777, found 0%o", uint32(*d.FileMode)).at(at("fileMode")...)
	}
	if d.UID != nil && *d.UID == noID {
		c.errorAt(reservedID).at(at("uid")...)
	}
	if d.GID != nil && *d.GID == noID {
		c.errorAt(reservedID).at(at("gid")...)
	}
}

func (c *checker) devicePath(earlier map[string]*specs.LinuxDevice, d *specs.LinuxDevice, at spot) {
	clean := path.Clean(d.Path)
	switch {
	case d.Path == "":
		c.missing().at(at("path")...)
		return
	case !path.IsAbs(d.Path):
		c.errorf("must be absolute, found %s", quote(d.Path)).at(at("path")...)
		return
	case dotdot(d.Path):
		c.errorAt(`contains ".."`).at(at("path")...)
		return
	case c.nul(d.Path):
		c.errorAt(nulText).at(at("path")...)
	case len(d.Path) > maxPath:
		c.errorf("longer than %d bytes", maxPath).at(at("path")...)
	case clean == "/" || within(clean, "/proc") || within(clean, "/sys"):
		c.errorf("not allowed: %s", quote(clean)).at(at("path")...)
	}
	// Engines list a device twice when it was asked for twice. That is harmless
	// as long as both mean the same device.
	e := earlier[clean]
	if e == nil {
		earlier[clean] = d
	} else if e.Type != d.Type || e.Major != d.Major || e.Minor != d.Minor {
		c.errorf("duplicate %s with another type or number", quote(clean)).at(at("path")...)
	}
}

func (c *checker) deviceNumber(n, limit int64, name string, at spot) {
	switch {
	case n < 0:
		c.errorf("%d is not allowed here", n).at(at(name)...)
	case n > limit:
		c.errorf("%d is %s", n, rangeText(0, uint64(limit))).at(at(name)...)
	case n == 0 && c.Raw != nil && !c.present(at(name)...):
		c.missing().at(at(name)...)
	}
}

func dotdot(p string) bool {
	for name := range strings.SplitSeq(p, "/") {
		if name == ".." {
			return true
		}
	}
	return false
}

// within reports whether a clean path is dir or lies in it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}

func (c *checker) deviceRules(r *specs.LinuxResources) {
	if r == nil {
		return
	}
	for i := range r.Devices {
		c.deviceRule(&r.Devices[i], func(more ...any) []any {
			return append([]any{"linux", "resources", "devices", i}, more...)
		})
	}
}

func (c *checker) deviceRule(rule *specs.LinuxDeviceCgroup, at spot) {
	if t := rule.Type; t != "" && t != "a" && t != "b" && t != "c" {
		c.errorf("unknown %s", quote(t)).at(at("type")...)
	}
	if rule.Access == "" {
		c.errorAt("must not be empty").at(at("access")...)
	}
	for _, letter := range rule.Access {
		if letter != 'r' && letter != 'w' && letter != 'm' {
			c.errorf("unknown letter %s", quote(string(letter))).at(at("access")...)
			break
		}
	}
	// -1 is the wildcard of this list.
	if n := rule.Major; n != nil && (*n < -1 || *n > maxMajor) {
		c.errorf("%d is %s", *n, rangeText(-1, maxMajor)).at(at("major")...)
	}
	if n := rule.Minor; n != nil && (*n < -1 || *n > maxMinor) {
		c.errorf("%d is %s", *n, rangeText(-1, maxMinor)).at(at("minor")...)
	}
}
