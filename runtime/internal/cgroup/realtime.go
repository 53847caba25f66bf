package cgroup

import (
	"errors"
	"path"
	"slices"
	"strconv"
)

// force writes a setting, and helps where a group above that was made for this container
// stands against it.
func (g *Group) force(p place) error {
	err := p.insist()
	if p.file == "cpu.rt_runtime_us" && errors.Is(err, errContradiction) && g.giveRealtime(p) {
		err = p.set(p.value)
	}
	return err
}

// giveRealtime gives the groups above that were made for the container as much realtime as
// it is to have: a new v1 group has none, and none can have more than the one above it. It
// tells whether that has changed anything.
func (g *Group) giveRealtime(p place) (changed bool) {
	want, err := strconv.ParseInt(p.value, 10, 64)
	if err != nil {
		return false
	}
	period, err := readIn(p.dir, "cpu.rt_period_us")
	if err != nil {
		return false
	}
	var above []string // outermost first
	for d := path.Dir(p.dir); slices.Contains(g.Made, d); d = path.Dir(d) {
		above = append(above, d)
	}
	slices.Reverse(above)
	for _, d := range above {
		have, err := readNumber(d, "cpu.rt_runtime_us")
		if err != nil || have >= want || have < 0 {
			continue
		}
		_ = writeIn(d, "cpu.rt_period_us", period)
		if writeIn(d, "cpu.rt_runtime_us", p.value) == nil {
			changed = true
		}
	}
	return changed
}
