package cgroup

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel counts as used what each processor has taken for a group in advance: 64 pages,
// which is more than all of what a small limit allows. It takes that back when it is asked
// to, but from other processors only a moment later.
const (
	smallLimit   = 16 << 20 // above it, this does not matter
	firstPause   = 200 * time.Microsecond
	longestPause = 80 * time.Millisecond // more than the last; 100 ms in all
)

// insist writes a setting, and gives the kernel the time it needs for a limit of memory: v1
// refuses one that is below what it counts as used, v2 kills for it.
func (p place) insist() error {
	if p.file == "memory.max" {
		p.settle()
	}
	err := p.set(p.value)
	for pause := firstPause; pause < longestPause; pause *= 2 {
		if p.file != "memory.limit_in_bytes" || !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(pause)
		err = p.set(p.value)
	}
	return err
}

// settle makes a v2 group give back what it does not use, if it counts more as used than a
// small limit allows. To reach memory.high the kernel does all it can but kill.
func (p place) settle() {
	limit, err := strconv.ParseInt(p.value, 10, 64)
	if err != nil || limit >= smallLimit || !p.above(limit) {
		return
	}
	high, err := readIn(p.dir, "memory.high")
	if err != nil || writeIn(p.dir, "memory.high", p.value) != nil {
		return
	}
	for pause := firstPause; pause < longestPause && p.above(limit); pause *= 2 {
		time.Sleep(pause)
	}
	_ = writeIn(p.dir, "memory.high", strings.TrimSpace(high))
}

// above tells whether the group counts more memory as used.
func (p place) above(limit int64) bool {
	used, err := readNumber(p.dir, "memory.current")
	return err == nil && used > limit
}

// settleUnit does that before systemd, which does not, sets the limit.
func (g *Group) settleUnit(settings []setting) {
	if g.Unit == nil {
		return
	}
	for _, s := range settings {
		if s.file != "memory.max" {
			continue
		}
		if p, there, err := g.controllerOf(s); err == nil && there {
			p.settle()
		}
	}
}
