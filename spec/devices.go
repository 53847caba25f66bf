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
		d, at := &l.Devices[i], []any{"linux", "devices", i}
		c.devicePath(earlier, d, under(at, "path"))
		switch {
		case missing(c, d.Type, under(at, "type")...):
		case !has([]string{"c", "b", "u", "p"}, d.Type):
			c.errorf("unknown %s", quote(d.Type)).at(under(at, "type")...)
		case d.Type != "p":
			c.deviceNumber(d.Major, maxMajor, under(at, "major"))
			c.deviceNumber(d.Minor, maxMinor, under(at, "minor"))
		}
		if d.FileMode != nil && *d.FileMode > 0o7777 {
			c.errorf("larger than 07777, found 0%o", uint32(*d.FileMode)).at(under(at, "fileMode")...)
		}
		if d.UID != nil {
			c.userID(*d.UID, under(at, "uid")...)
		}
		if d.GID != nil {
			c.userID(*d.GID, under(at, "gid")...)
		}
	}
}

func (c *checker) devicePath(earlier map[string]*specs.LinuxDevice, d *specs.LinuxDevice, at []any) {
	if missing(c, d.Path, at...) {
		return
	}
	c.noNUL(d.Path, at...)
	clean := path.Clean(d.Path)
	switch {
	case !path.IsAbs(d.Path):
		c.errorf("must be absolute, found %s", quote(d.Path)).at(at...)
		return
	case dotdot(d.Path):
		c.errorf(`contains ".."`).at(at...)
		return
	case len(d.Path) > maxPath:
		c.errorf("longer than %d bytes", maxPath).at(at...)
	case clean == "/" || within(clean, "/proc") || within(clean, "/sys"):
		c.errorf("not allowed: %s", quote(clean)).at(at...)
	}
	// Engines list a device twice when it was asked for twice. That is harmless
	// as long as both mean the same device.
	e := earlier[clean]
	if e == nil {
		earlier[clean] = d
	} else if e.Type != d.Type || e.Major != d.Major || e.Minor != d.Minor {
		c.errorf("duplicate %s with another type or number", quote(clean)).at(at...)
	}
}

func (c *checker) deviceNumber(n, limit int64, at []any) {
	switch {
	case n < 0:
		c.errorf("%d is not allowed here", n).at(at...)
	case n > limit:
		c.errorf("%d is %s", n, rangeText(0, uint64(limit))).at(at...)
	case n == 0 && c.inConfig && c.Raw != nil && !c.present(at...):
		c.errorAt("required field missing").at(at...)
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
	for i, rule := range r.Devices {
		at := []any{"linux", "resources", "devices", i}
		if t := rule.Type; t != "" && t != "a" && t != "b" && t != "c" {
			c.errorf("unknown %s", quote(t)).at(under(at, "type")...)
		}
		if rule.Access == "" {
			c.errorAt("must not be empty").at(under(at, "access")...)
		}
		for _, letter := range rule.Access {
			if letter != 'r' && letter != 'w' && letter != 'm' {
				c.errorf("unknown letter %s", quote(string(letter))).at(under(at, "access")...)
				break
			}
		}
		// -1 is the wildcard of this list.
		if n := rule.Major; n != nil && (*n < -1 || *n > maxMajor) {
			c.errorf("%d is %s", *n, rangeText(-1, maxMajor)).at(under(at, "major")...)
		}
		if n := rule.Minor; n != nil && (*n < -1 || *n > maxMinor) {
			c.errorf("%d is %s", *n, rangeText(-1, maxMinor)).at(under(at, "minor")...)
		}
	}
}
