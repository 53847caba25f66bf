package entry

import (
	"slices"

	"golang.org/x/sys/unix"
)

// A Place is where a program can go on. It may be used before it is known where that is.
type Place struct {
	p    *Program
	from []*Call // that wait for it to be known
	at   *Call
}

// Place makes a place; Here says where it is.
func (p *Program) Place() *Place { return &Place{p: p} }

// Here puts the place before the next call.
func (pl *Place) Here() { pl.p.here = append(pl.p.here, pl) }

func (pl *Place) is(c *Call) {
	pl.at = c
	for _, from := range pl.from {
		from.onZero = c
	}
	pl.from = nil
	pl.p.open = slices.DeleteFunc(pl.p.open, func(o *Place) bool { return o == pl })
}

// OnZero goes on at a place when the call's result is zero.
func (c *Call) OnZero(pl *Place) *Call {
	if c.onZero = pl.at; pl.at != nil {
		return c
	}
	if len(pl.from) == 0 {
		c.p.open = append(c.p.open, pl)
	}
	pl.from = append(pl.from, c)
	return c
}

// Nothing adds a call that does nothing; its result is zero.
func (p *Program) Nothing() *Call {
	const sizeofSet = 8 // of signals, as the kernel has them
	return p.Call(unix.SYS_RT_SIGPROCMASK, 0, 0, 0, sizeofSet)
}

// Go goes on at a place.
func (p *Program) Go(pl *Place) { p.Nothing().OnZero(pl) }
