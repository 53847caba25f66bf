package store

import "unicode/utf8"

// skip reads any value and returns its bytes as they stand. It checks the grammar,
// but not for duplicate keys: nobody here looks into the value. It is a loop and
// not recursive because a whole config.json goes through it in every command.
func (p *parser) skip() []byte {
	p.peek()
	start := p.pos
	var buf [maxDepth]byte
	open := buf[:0] // what closes the lists we are in
	for p.err == nil {
		switch c := p.peek(); c {
		case '{', '[':
			p.pos++
			closer := c + 2 // so ASCII has it
			if p.peek() == closer {
				p.pos++
				break
			}
			if p.depth+len(open) >= maxDepth {
				p.failf("nested too deeply")
				return nil
			}
			if open = append(open, closer); c == '{' {
				p.skipKey()
			}
			continue
		case '"':
			p.skipString()
		default:
			p.skipWord()
		}
		for len(open) > 0 && p.peek() == open[len(open)-1] {
			p.pos++
			open = open[:len(open)-1]
		}
		if len(open) == 0 {
			break
		}
		if p.want(',', "a comma or the end") && open[len(open)-1] == '}' {
			p.skipKey()
		}
	}
	return p.data[start:p.pos]
}

func (p *parser) skipKey() {
	p.skipString()
	p.want(':', "a colon")
}

// skipWord reads a number, true, false or null.
func (p *parser) skipWord() {
	start := p.pos
	if w := p.word(); p.err == nil && !literal(w) {
		p.pos = start
		p.failf("expected a value")
	}
}

func (p *parser) skipString() {
	if !p.want('"', "a string") {
		return
	}
	var scratch [8]byte
	for p.err == nil && p.pos < len(p.data) {
		// Nearly every string ends in this inner loop.
		for _, c := range p.data[p.pos:] {
			if c == '"' {
				p.pos++
				return
			}
			if c < 0x20 || c == '\\' || c >= utf8.RuneSelf {
				break
			}
			p.pos++
		}
		if p.pos == len(p.data) {
			break
		}
		switch c := p.data[p.pos]; {
		case c == '\\':
			p.escape(scratch[:0])
		case c < 0x20:
			p.failf("control character %#02x in a string", c)
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
func literal(w []byte) bool {
	switch string(w) {
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
