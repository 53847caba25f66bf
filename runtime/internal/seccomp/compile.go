package seccomp

import (
	"fmt"
	"math"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A filter is what a profile is compiled to.
type filter struct {
	code    []unix.SockFilter
	secrets []int // see seal
	idle    []int // entries of the profile that forbid calls of which none is known here
}

// compile makes the filter of a profile for a machine. With a listener it lets init hand
// the listener over.
func compile(p *specs.LinuxSeccomp, m *machine, listener bool) (*filter, error) {
	y, err := newPolicy(p, m)
	if err != nil {
		return nil, err
	}
	y.listener = listener
	sections := y.sections(m, func(b *abi) bool { return slices.Contains(p.Architectures, b.name) })
	w := &writer{policy: y, big: m.big}
	w.code = make([]unix.SockFilter, 0, 512)
	w.filter(sections)
	if n := len(w.code); n > maxInstructions {
		return nil, fmt.Errorf("linux.seccomp: filter too large (%d instructions, the kernel takes %d)", n, maxInstructions)
	}
	slices.Reverse(y.idle)
	return &filter{code: w.finish(), secrets: w.places(), idle: y.idle}, nil
}

// A writer writes the filter of a policy.
type writer struct {
	assembler
	policy  *policy
	big     bool
	wide    bool
	chains  []label // for each class with conditions: where they are asked, plus one
	secrets []label // where a word of the secret is compared, from the end
}

// filter writes everything: which architecture, which number, which arguments.
func (w *writer) filter(sections []section) {
	next := w.ret(w.policy.classes[classBadArch].ret)
	for _, s := range slices.Backward(sections) {
		tree := w.subtree(s.spans, s.wide)
		if s.x32 != nil {
			tree = w.jump(opFrom, x32Bit, w.subtree(s.x32, false), tree)
		}
		next = w.jump(opEqual, s.audit, w.load(offNumber, tree), next)
	}
	w.load(offArch, next)
}

// subtree writes the search of one way of calling the kernel. What it asks of arguments
// cannot be shared with another.
func (w *writer) subtree(spans []span, wide bool) label {
	w.wide, w.chains = wide, make([]label, len(w.policy.classes))
	return w.tree(spans)
}

// tree writes a balanced search for the span that a number is in.
func (w *writer) tree(spans []span) label {
	n := len(spans)
	if n == 1 {
		return w.leaf(spans[0].class)
	}
	if n == 3 && spans[0].class == spans[2].class && spans[2].from-spans[1].from == 1 {
		no := w.leaf(spans[0].class)
		return w.jump(opEqual, spans[1].from, w.leaf(spans[1].class), no)
	}
	above := w.tree(spans[n/2:])
	below := w.tree(spans[:n/2])
	return w.jump(opFrom, spans[n/2].from, above, below)
}

// leaf is the place where a class is decided.
func (w *writer) leaf(number uint16) label {
	c := &w.policy.classes[number]
	if c.pass {
		return w.passLeaf(number)
	}
	if len(c.rules) == 0 || w.policy.rules[c.rules[0]].always() {
		return w.ret(c.ret)
	}
	if w.chains[number] == 0 {
		w.chains[number] = w.chain(c) + 1
	}
	return w.chains[number] - 1
}

// chain writes the questions about arguments: the rules one after another, until one fits.
func (w *writer) chain(c *class) label {
	next := w.ret(c.ret)
	for _, i := range slices.Backward(c.rules) {
		r := &w.policy.rules[i]
		if r.always() {
			continue // what c.ret is
		}
		fits := w.ret(r.ret)
		for j := range slices.Backward(r.conds) {
			fits = w.condition(&r.conds[j], fits, next)
		}
		if r.via != 0 {
			fits = w.via(r.via, fits, next)
		}
		next = fits
	}
	return next
}

// condition writes the comparison of an argument with a value.
func (w *writer) condition(c *specs.LinuxSeccompArg, yes, no label) label {
	i := uint32(c.Index)
	switch c.Op {
	case specs.OpEqualTo:
		return w.masked(i, math.MaxUint64, c.Value, yes, no)
	case specs.OpNotEqual:
		return w.masked(i, math.MaxUint64, c.Value, no, yes)
	case specs.OpMaskedEqual:
		return w.masked(i, c.Value, c.ValueTwo, yes, no)
	case specs.OpGreaterThan:
		return w.ordered(i, opAbove, c.Value, yes, no)
	case specs.OpGreaterEqual:
		return w.ordered(i, opFrom, c.Value, yes, no)
	case specs.OpLessThan:
		return w.ordered(i, opFrom, c.Value, no, yes)
	default: // SCMP_CMP_LE; others do not come here
		return w.ordered(i, opAbove, c.Value, no, yes)
	}
}

// masked writes: is the argument, within mask, equal to value, within mask?
func (w *writer) masked(arg uint32, mask, value uint64, yes, no label) label {
	value &= mask
	if uint32(mask>>32) == math.MaxUint32 {
		value = w.fit(value)
	}
	high, low := uint32(value>>32), uint32(value)
	if !w.wide && high != 0 {
		return no
	}
	fits := w.word(w.low(arg), uint32(mask), low, yes, no)
	if !w.wide {
		return fits
	}
	return w.word(w.high(arg), uint32(mask>>32), high, fits, no)
}

// fit is a value as it looks in an argument of 32 bits: a negative number of 64 bits is
// that of 32 bits there. Other values that do not fit are larger than every argument.
func (w *writer) fit(value uint64) uint64 {
	if !w.wide && int64(value) < 0 && int64(value) >= math.MinInt32 {
		return uint64(uint32(value))
	}
	return value
}

// word writes the same for one half.
func (w *writer) word(offset, mask, value uint32, yes, no label) label {
	if mask == 0 {
		return yes
	}
	l := w.jump(opEqual, value, yes, no)
	if l == yes || l == no {
		return l
	}
	if mask != math.MaxUint32 {
		l = w.and(mask, l)
	}
	return w.load(offset, l)
}

// ordered writes a comparison of 64 bits: the high half decides unless it is equal.
func (w *writer) ordered(arg uint32, op uint16, value uint64, yes, no label) label {
	if yes == no {
		return yes
	}
	value = w.fit(value)
	high, low := uint32(value>>32), uint32(value)
	if !w.wide {
		if high != 0 {
			return no
		}
		return w.load(w.low(arg), w.jump(op, low, yes, no))
	}
	lower := w.load(w.low(arg), w.jump(op, low, yes, no))
	equal := w.jump(opEqual, high, lower, no)
	return w.load(w.high(arg), w.jump(opAbove, high, yes, equal))
}

// via writes: is it this call of socketcall or ipc? The kernel looks at the low 32 bits of
// the first argument of the one, and at the low 16 of the other.
func (w *writer) via(number uint8, yes, no label) label {
	if number&viaIPC != 0 {
		return w.word(w.low(0), 0xffff, uint32(number&^viaIPC), yes, no)
	}
	return w.word(w.low(0), math.MaxUint32, uint32(number), yes, no)
}

func (w *writer) low(arg uint32) uint32 {
	if w.big {
		return offArgs + 8*arg + 4
	}
	return offArgs + 8*arg
}

func (w *writer) high(arg uint32) uint32 {
	if w.big {
		return offArgs + 8*arg
	}
	return offArgs + 8*arg + 4
}
