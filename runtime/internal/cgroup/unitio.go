package cgroup

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd"
	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
)

// Limits of block devices as properties. What systemd is not told of io.max it leaves alone,
// until somebody sets another limit of the same device: it writes all four at once. A weight
// it takes back.

// inPlace are settings as they will be written: to the other file where there is not the
// first one.
func (g *Group) inPlace(settings []setting) []setting {
	out := slices.Clone(settings)
	for i := range out {
		s := &out[i]
		if s.orFile == "" {
			continue
		}
		if dir, _, ok := g.Dir(s.controller); ok && !exists(dir+"/"+s.file) {
			s.file, s.value = s.orFile, s.orValue
		}
	}
	return out
}

// throttle adds the limits of one device from a line of io.max.
func (p *propertyList) throttle(line string) {
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return
	}
	for _, f := range fields[1:] {
		part, rate, _ := strings.Cut(f, "=")
		switch part {
		case "rbps":
			p.device("IOReadBandwidthMax", 230, fields[0], rate)
		case "wbps":
			p.device("IOWriteBandwidthMax", 230, fields[0], rate)
		case "riops":
			p.device("IOReadIOPSMax", 230, fields[0], rate)
		case "wiops":
			p.device("IOWriteIOPSMax", 230, fields[0], rate)
		}
	}
}

// weight adds the weight of the group or of a device. For BFQ systemd makes one of its own
// scale from the one that it is told, and this is the one it makes this one from.
func (p *propertyList) weight(name, deviceName string, since int, s setting, bfq bool) {
	value := s.value
	if s.key != "" {
		_, value, _ = strings.Cut(value, " ")
	}
	value = strings.TrimPrefix(value, "default ")
	if n, err := strconv.ParseUint(value, 10, 64); err == nil && bfq && n > 100 {
		n = 100 + (n-100)*11
		if strings.HasPrefix(name, "Block") { // there it makes nothing above 181
			n = min(n, 1000)
		}
		value = strconv.FormatUint(n, 10)
	}
	if s.key != "" {
		p.device(deviceName, since, s.key, value)
		return
	}
	p.number(name, since, value)
}

// device adds a number for a device, "8:16", to the list that a property is. Of a device
// that others lie below systemd would limit one of those: it is not told of them.
func (p *propertyList) device(name string, since int, key, value string) {
	n, err := strconv.ParseUint(value, 10, 64)
	switch {
	case p.version < since, stacked(key):
		return
	case value == "max" || err == nil && n == 0:
		n = infinity
	case err != nil:
		return
	}
	item := dbus.Struct{Fields: []dbus.Value{dbus.String("/dev/block/" + key), dbus.Uint64(n)}}
	i := slices.IndexFunc(p.list, func(q systemd.Property) bool { return q.Name == name })
	if i < 0 {
		p.list = append(p.list, systemd.Property{Name: name, Value: dbus.Array{Elem: "(st)", Items: []dbus.Value{item}}})
		return
	}
	list := p.list[i].Value.(dbus.Array)
	for j, other := range list.Items {
		if other.(dbus.Struct).Fields[0] == item.Fields[0] {
			list.Items[j] = item
			return
		}
	}
	list.Items = append(list.Items, item)
	p.list[i].Value = list
}

// overwrites reports whether systemd writes another value into a file than it is told of, so
// that ours has to be written after it.
func overwrites(settings []setting) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return strings.HasPrefix(s.file, "blkio.bfq.weight") })
}

// stacked reports whether a block device is made of others, such as one of the device mapper.
func stacked(key string) bool {
	below, err := os.ReadDir("/sys/dev/block/" + key + "/slaves")
	return err == nil && len(below) > 0
}

// replacing makes lists of devices replace those there are: systemd would add to them.
func replacing(list []systemd.Property) []systemd.Property {
	out := make([]systemd.Property, 0, len(list))
	for _, p := range list {
		if a, ok := p.Value.(dbus.Array); ok && a.Elem == "(st)" {
			out = append(out, systemd.Property{Name: p.Name, Value: dbus.Array{Elem: a.Elem}})
		}
		out = append(out, p)
	}
	return out
}
