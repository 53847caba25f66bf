package seccomp

import "math"

// A span is a range of numbers about which the same is done. It ends where the next one
// begins.
type span struct {
	from  uint32
	class uint16
}

// A section is the part of a filter for one AUDIT_ARCH: spans over all numbers. Those of
// x32 are a list of their own, because its arguments are looked at in another way.
type section struct {
	audit uint32
	wide  bool
	spans []span
	x32   []span // from x32Bit
}

// sections puts a policy into the numbers of a machine. The native architecture is always
// among them, whether the profile names it or not.
func (y *policy) sections(m *machine, wanted func(*abi) bool) []section {
	var list []section
	for i := range m.abis {
		b := &m.abis[i]
		if b.base == x32Bit {
			continue
		}
		if i > 0 && !wanted(b) {
			continue
		}
		s := section{audit: b.audit, wide: b.wide, spans: make([]span, 0, 160)}
		y.fill(&s, b)
		if x := m.x32(); x != nil && i == 0 {
			s.x32 = y.x32Spans(x, wanted(x))
		}
		if i == 0 && y.listener {
			y.letPass(&s, b)
		}
		list = append(list, s)
	}
	return list
}

// x32 is the second way of the same AUDIT_ARCH, on the machine that has one.
func (m *machine) x32() *abi {
	for i := range m.abis {
		if m.abis[i].base == x32Bit {
			return &m.abis[i]
		}
	}
	return nil
}

func (y *policy) x32Spans(x *abi, wanted bool) []span {
	s := section{}
	if wanted {
		y.fill(&s, x)
		return s.spans
	}
	s.add(x32Bit, classBadArch)
	// This is no number: a tracer has said that nothing shall be called.
	s.add(math.MaxUint32, classFallback)
	return s.spans
}

func (s *section) add(from uint32, class uint16) {
	if n := len(s.spans); n == 0 || s.spans[n-1].class != class {
		s.spans = append(s.spans, span{from, class})
	}
}

// maxNumber is larger than every number of the tables but the private ones.
const maxNumber = 640

// fill adds the spans of one way of calling the kernel.
func (y *policy) fill(s *section, b *abi) {
	var classes [maxNumber]uint16
	var private [16]uint16
	var owner [maxNumber]uint16 // the name that a number was met by, plus one
	last := -1
	column := &numbers[b.column]
	for name := range column {
		n := int(column[name])
		if n == absent || !y.named[name] && y.class[name] == classFallback {
			continue
		}
		if n >= privateStored {
			private[n&15] = y.class[name]
			continue
		}
		classes[n] = y.class[name]
		if owner[n] != 0 {
			classes[n] = y.both(owner[n]-1, uint16(name))
		}
		owner[n] = uint16(name) + 1
		last = max(last, n)
	}
	stub := last >= 0 && y.stub()
	if stub && b.zero && classes[0] == classFallback {
		classes[0] = classNoSuchCall
	}
	if b.base != 0 && b.base != x32Bit {
		s.add(0, classFallback)
	}
	for n := range last + 1 {
		s.add(b.base+uint32(n), classes[n])
	}
	newer := uint16(classFallback)
	if stub {
		newer = classNoSuchCall
	}
	s.add(b.base+uint32(last+1), newer)
	if b.column == columnARM {
		for n, c := range private {
			s.add(privateBase+uint32(n), c)
		}
		s.add(privateBase+uint32(len(private)), newer)
	}
}
