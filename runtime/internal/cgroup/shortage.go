package cgroup

import (
	"fmt"
	"math"
	"strings"
)

// A Shortage is what a container has run into. It explains a process that was killed, or a
// fork that was refused, during create or start.
type Shortage struct {
	Kills uint64 // how many processes the kernel has killed for want of memory
	Limit uint64 // of memory, in bytes; math.MaxUint64 is none
	Peak  uint64 // of memory, in bytes; 0 if the kernel does not tell
	Forks uint64 // how many forks were refused
	Pids  uint64 // the limit of processes and threads; math.MaxUint64 is none
}

// String is the sentence about it, which names the property and the limit.
func (s *Shortage) String() string {
	var parts []string
	switch {
	case s.Kills > 0 && s.Limit < math.MaxInt64-4096: // v1 says that for no limit
		text := fmt.Sprintf("linux.resources.memory.limit: %d is too small: the kernel has killed %d process(es) for want of memory", s.Limit, s.Kills)
		if s.Peak > 0 {
			text += fmt.Sprintf(" (peak use %d)", s.Peak)
		}
		parts = append(parts, text)
	case s.Kills > 0:
		parts = append(parts, fmt.Sprintf("the host, or a cgroup above the container's, is out of memory: the kernel has killed %d process(es)", s.Kills))
	}
	if s.Forks > 0 && s.Pids != math.MaxUint64 {
		parts = append(parts, fmt.Sprintf("linux.resources.pids.limit: %d is too small: %d fork(s) refused", s.Pids, s.Forks))
	}
	return strings.Join(parts, "; ")
}

// Shortage tells what limit the container has run into since its group was made. It is nil if
// it has run into none, or if the group is gone.
//
// Source: as [Group.OOMKills]; memory.max, memory.peak and pids.events, or their
// counterparts of v1.
func (g *Group) Shortage() (*Shortage, error) {
	kills, err := g.OOMKills()
	if err != nil {
		return nil, err
	}
	s := &Shortage{Kills: kills, Limit: math.MaxUint64, Pids: math.MaxUint64}
	if dir, _, ok := g.Dir("pids"); ok {
		in := source{dir: dir}
		s.Forks, s.Pids = in.numbers("pids.events")["max"], in.number("pids.max")
	}
	if s.Kills == 0 && s.Forks == 0 {
		return nil, nil
	}
	if dir, v2, ok := g.Dir("memory"); ok {
		in := source{dir: dir}
		limit, peak := "memory.limit_in_bytes", "memory.max_usage_in_bytes"
		if v2 {
			limit, peak = "memory.max", "memory.peak"
		}
		s.Limit, s.Peak = in.number(limit), in.number(peak)
	}
	return s, nil
}
