package cgroup

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd"
	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
)

// deviceProperties translates device rules. Systemd's own filter acts in addition to ours,
// so it gets either all of them or none.
func deviceProperties(rules []deviceRule) []systemd.Property {
	policy, allow := "strict", dbus.Array{Elem: "(ss)"}
	for i, r := range rules {
		if i == 0 && r.kind == 'a' && !r.allow {
			continue
		}
		path := devicePath(r)
		if !r.allow || path == "" {
			policy, allow.Items = "auto", nil
			break
		}
		allow.Items = append(allow.Items, dbus.Struct{Fields: []dbus.Value{dbus.String(path), dbus.String(r.access)}})
	}
	return []systemd.Property{
		{Name: "DevicePolicy", Value: dbus.String(policy)},
		// An empty list empties the one there is, to which others are added.
		{Name: "DeviceAllow", Value: dbus.Array{Elem: "(ss)"}},
		{Name: "DeviceAllow", Value: allow},
	}
}

// devicePath is how systemd calls the devices of a rule; empty if it has no name for exactly
// these.
func devicePath(r deviceRule) string {
	kind := map[byte]string{'c': "char", 'b': "block"}[r.kind]
	switch {
	case kind == "":
		return ""
	case r.major == wildcard && r.minor == wildcard:
		return kind + "-*"
	case r.major != wildcard && r.minor != wildcard:
		return "/dev/" + kind + "/" + strconv.FormatInt(r.major, 10) + ":" + strconv.FormatInt(r.minor, 10)
	case r.minor == wildcard:
		if name := driver(kind, r.major); name != "" {
			return kind + "-" + name
		}
	}
	return ""
}

// driver is the one name of a major number in /proc/devices, if no other number has it.
func driver(kind string, major int64) string {
	text, err := readAt(unix.AT_FDCWD, "/proc/devices")
	if err != nil {
		return ""
	}
	heading := map[string]string{"char": "Character devices:", "block": "Block devices:"}[kind]
	found, counts := "", make(map[string]int)
	in := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasSuffix(line, "devices:") {
			in = line == heading
			continue
		}
		number, name, ok := strings.Cut(line, " ")
		if !in || !ok {
			continue
		}
		counts[name]++
		if number == strconv.FormatInt(major, 10) {
			if found != "" {
				return ""
			}
			found = name
		}
	}
	if counts[found] != 1 || strings.ContainsAny(found, "*?[/") {
		return ""
	}
	return found
}
