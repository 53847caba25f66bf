package store

import "unicode/utf8"

// skip reads any value and returns its bytes as they stand. It checks the grammar,
// but not for duplicate keys: nobody here looks into the value.
func (p *parser) skip() []byte {
	c := p.peek()
	start := p.pos
	switch {
	case p.err != nil:
	case c == '{':
		p.skipList('}', true)
	case c == '[':
		p.skipList(']', false)
	case c == '"':
		p.skipString()
	default:
		if w := p.word(); p.err == nil && !literal(w) {
			p.pos = start
			p.failf("expected a value")
		}
	}
	return p.data[start:p.pos]
}

// skipList reads an object or an array.
func (p *parser) skipList(end byte, keys bool) {
	p.pos++
	if !p.enter() {
		return
	}
	defer func() { p.depth-- }()
	if p.peek() == end {
		p.pos++
		return
	}
	for p.err == nil {
		if keys {
			p.skipString()
			p.want(':', "a colon")
		}
		p.skip()
		if p.peek() == end {
			p.pos++
			return
		}
		p.want(',', "a comma or the end")
	}
}

func (p *parser) skipString() {
	if !p.want('"', "a string") {
		return
	}
	var scratch [8]byte
	for p.err == nil && p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			p.pos++
			return
		case c == '\\':
			p.escape(scratch[:0])
		case c < 0x20:
			p.failf("control character %#02x in a string", c)
		case c < utf8.RuneSelf:
			p.pos++
		default:
			r, n := utf8.DecodeRune(p.data[p.pos:])
			if r == utf8.RuneError && n == 1 {
				p.failf("invalid UTF-8")
			}
			p.pos += n
		}
	}
	p.fail(errEnd)
}

// literal says whether w is a number or one of the three words.
func literal(w string) bool {
	switch w {
	case "true", "false", "null":
		return true
	}
	i := 0
	digits := func() bool {
		start := i
		for i < len(w) && '0' <= w[i] && w[i] <= '9' {
			i++
		}
		return i > start
	}
	if i < len(w) && w[i] == '-' {
		i++
	}
	start := i
	if !digits() || i-start > 1 && w[start] == '0' {
		return false
	}
	if i < len(w) && w[i] == '.' {
		if i++; !digits() {
			return false
		}
	}
	if i < len(w) && (w[i] == 'e' || w[i] == 'E') {
		if i++; i < len(w) && (w[i] == '+' || w[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(w)
}
