package systemd

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// A Unit is the unit that is a container's cgroup: a scope, or a slice.
type Unit struct {
	Name  string // "ocirt-demo.scope"
	Slice string // the slice that it lies in: "system.slice"; "-.slice" is the root
}

// maxUnitName is the length of the longest name of a unit (UNIT_NAME_MAX).
const maxUnitName = 255

// NewUnit reads a cgroupsPath of the form slice:prefix:name. Without one the container's id
// is the name. An empty slice is system.slice, or the user's own user.slice; the default
// prefix is "ocirt". The unit is the scope prefix-name.scope, or, if name ends in ".slice",
// that slice. Characters that no unit may have are escaped as systemd-escape(1) does.
//
// Errors begin with "linux.cgroupsPath:".
func NewUnit(cgroupsPath, id string, user bool) (Unit, error) {
	slice, prefix, name := "", "ocirt", id
	if cgroupsPath != "" {
		parts := strings.Split(cgroupsPath, ":")
		if len(parts) != 3 || parts[2] == "" {
			return Unit{}, fmt.Errorf("linux.cgroupsPath: expected slice:prefix:name, found %q", cgroupsPath)
		}
		slice, prefix, name = parts[0], parts[1], parts[2]
	}
	if strings.Contains(prefix+name, "/") {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: invalid name %q: a unit's name has no slash", name)
	}
	u := Unit{Slice: slice}
	switch {
	case slice == "" && user:
		u.Slice = "user.slice"
	case slice == "":
		u.Slice = "system.slice"
	}
	if _, err := sliceDir(u.Slice, 0); err != nil {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %w", err)
	}
	if strings.HasSuffix(name, ".slice") {
		return u.asSlice(name, slice == "")
	}
	u.Name = escape(name) + ".scope"
	if prefix != "" {
		u.Name = escape(prefix) + "-" + u.Name
	}
	return u, u.check()
}

// asSlice makes u the slice of this name, whose name says in which one it lies.
func (u Unit) asSlice(name string, anywhere bool) (Unit, error) {
	dir, err := sliceDir(name, 0)
	if err != nil {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %w", err)
	}
	if dir == "" {
		return Unit{}, errors.New("linux.cgroupsPath: must not be the root")
	}
	u.Name = name
	parent := "-.slice"
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		parent = name[:i] + ".slice"
	}
	if !anywhere && u.Slice != parent {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: slice %s lies in %s, not in %s", name, parent, u.Slice)
	}
	u.Slice = parent
	return u, u.check()
}

func (u Unit) check() error {
	if len(u.Name) > maxUnitName {
		return fmt.Errorf("linux.cgroupsPath: invalid name: unit %.40q... has %d bytes, at most %d are possible",
			u.Name, len(u.Name), maxUnitName)
	}
	return nil
}

// IsSlice reports whether the unit is a slice, which systemd puts no process into.
func (u Unit) IsSlice() bool { return strings.HasSuffix(u.Name, ".slice") }

// Dir is the unit's cgroup below the one that its manager, of this version, manages from.
func (u Unit) Dir(version int) string {
	dir, err := sliceDir(u.Slice, version)
	if err != nil {
		dir = "/" + u.Slice // NewUnit has refused it
	}
	return path.Join("/", dir, dirName(u.Name, version))
}

// sliceDir is the cgroup of a slice: a dash leads one level down, so that a-b.slice lies in
// a.slice (systemd.slice(5)). The root "-.slice" is "".
func sliceDir(slice string, version int) (string, error) {
	name, ok := strings.CutSuffix(slice, ".slice")
	if !ok || name == "" || len(slice) > maxUnitName || !plain(slice) {
		return "", fmt.Errorf("invalid slice name %q", slice)
	}
	if name == "-" {
		return "", nil
	}
	dir, prefix := "", ""
	for level := range strings.SplitSeq(name, "-") {
		if level == "" {
			return "", fmt.Errorf("invalid slice name %q", slice)
		}
		prefix += level
		dir += "/" + dirName(prefix+".slice", version)
		prefix += "-"
	}
	return dir, nil
}

// plain reports whether s has only characters that a unit's name may have.
func plain(s string) bool {
	for i := range len(s) {
		if !plainByte(s[i]) {
			return false
		}
	}
	return true
}

func plainByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte(`:-_.\@`, c) >= 0
}

// escape writes what a unit's name may not have as \xNN.
func escape(s string) string {
	if plain(s) {
		return s
	}
	const digits = "0123456789abcdef"
	out := make([]byte, 0, len(s)+12)
	for i := range len(s) {
		if c := s[i]; plainByte(c) {
			out = append(out, c)
		} else {
			out = append(out, '\\', 'x', digits[c>>4], digits[c&15])
		}
	}
	return string(out)
}

// dirName is the directory of a unit: its name, with "_" before one that could be taken for
// a file of the cgroup file system (cg_escape of systemd). Before version 254 what could
// name a controller was all before the last dot, since then it is all before the first.
func dirName(unit string, version int) string {
	if unit == "notify_on_release" || unit == "release_agent" || unit == "tasks" || unit[0] == '_' || unit[0] == '.' {
		return "_" + unit
	}
	prefix, _, _ := strings.Cut(unit, ".")
	if prefix == "cgroup" {
		return "_" + unit
	}
	if version != 0 && version < 254 {
		prefix = unit[:strings.LastIndexByte(unit, '.')]
	}
	switch prefix {
	case "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids",
		"bpf-firewall", "bpf-devices", "bpf-foreign", "bpf-socket-bind", "bpf-restrict-network-interfaces", "bpf-bind-network-interface":
		return "_" + unit
	}
	return unit
}

// objectPath is the path of a unit's object on the bus.
func objectPath(unit string) string {
	const digits = "0123456789abcdef"
	out := []byte("/org/freedesktop/systemd1/unit/")
	for i := range len(unit) {
		c := unit[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9' {
			out = append(out, c)
		} else {
			out = append(out, '_', digits[c>>4], digits[c&15])
		}
	}
	return string(out)
}
