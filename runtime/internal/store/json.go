package store

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deeply values may be nested in a record.
const maxDepth = 100

// A syntaxError says where in the file something is wrong, and in which field.
type syntaxError struct {
	offset int
	field  string
	err    error
}

func (e *syntaxError) Error() string {
	if e.field == "" {
		return e.err.Error()
	}
	return e.field + ": " + e.err.Error()
}

func (e *syntaxError) Unwrap() error { return e.err }

// A parser reads JSON from memory, strictly: no duplicate keys, no control
// characters in strings, no invalid UTF-8, nothing after the value. By hand,
// because every command reads a record and reflection costs more than all the rest
// of reading it. Its methods return at the first error, which stays in err.
type parser struct {
	data  []byte
	pos   int
	depth int
	field string // the path of keys down to the current value
	err   error
}

func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = &syntaxError{offset: p.pos, field: p.field, err: err}
	}
}

func (p *parser) failf(format string, args ...any) { p.fail(fmt.Errorf(format, args...)) }

var errEnd = errors.New("unexpected end")

// peek skips white space and returns the next byte, 0 at the end and after an
// error.
func (p *parser) peek() byte {
	if p.pos < len(p.data) && p.data[p.pos] > ' ' && p.err == nil {
		return p.data[p.pos]
	}
	return p.peekOn()
}

func (p *parser) peekOn() byte {
	for p.err == nil && p.pos < len(p.data) {
		switch c := p.data[p.pos]; c {
		case ' ', '\t', '\r', '\n':
			p.pos++
		case 0:
			p.failf("unexpected NUL byte")
			return 0
		default:
			return c
		}
	}
	p.fail(errEnd)
	return 0
}

// want takes one byte of punctuation.
func (p *parser) want(c byte, what string) bool {
	if got := p.peek(); p.err != nil {
		return false
	} else if got != c {
		p.failf("expected %s, found %q", what, got)
		return false
	}
	p.pos++
	return true
}

// end checks that nothing follows.
func (p *parser) end() {
	for ; p.err == nil && p.pos < len(p.data); p.pos++ {
		switch p.data[p.pos] {
		case ' ', '\t', '\r', '\n':
		default:
			p.failf("data after the record")
		}
	}
}

func (p *parser) enter() bool {
	if p.depth++; p.depth > maxDepth {
		p.failf("nested too deeply")
		return false
	}
	return true
}

// object calls member for each key; member reads or skips the value.
func (p *parser) object(member func(key string)) {
	if !p.want('{', "an object") || !p.enter() {
		return
	}
	defer func() { p.depth-- }()
	outer := p.field
	defer func() { p.field = outer }()
	if p.peek() == '}' {
		p.pos++
		return
	}
	var seen keys
	for p.err == nil {
		p.peek()
		start := p.pos
		key := p.string()
		if p.err == nil && !seen.add(key) {
			p.pos = start
			p.failf("duplicate key %q", key)
		}
		if !p.want(':', "a colon") {
			return
		}
		p.field = join(outer, key)
		p.peek()
		if p.err == nil {
			member(key)
		}
		p.field = outer
		if p.peek() == '}' {
			p.pos++
			return
		}
		if !p.want(',', "a comma or the end of the object") {
			return
		}
	}
}

// join makes a path of keys, of which a hostile one is not worth much memory.
func join(outer, key string) string {
	if len(key) > 64 || len(outer) > 256 {
		key = "..."
	}
	if outer == "" {
		return key
	}
	return outer + "." + key
}

// keys finds duplicates. Small objects need no map.
type keys struct {
	few  []string
	many map[string]struct{}
}

func (k *keys) add(key string) bool {
	if k.many == nil {
		if slices.Contains(k.few, key) {
			return false
		}
		if k.few = append(k.few, key); len(k.few) < 32 {
			return true
		}
		k.many = make(map[string]struct{}, 64)
		for _, s := range k.few {
			k.many[s] = struct{}{}
		}
		return true
	}
	if _, ok := k.many[key]; ok {
		return false
	}
	k.many[key] = struct{}{}
	return true
}

// array calls element for each element.
func (p *parser) array(element func()) {
	if !p.want('[', "an array") || !p.enter() {
		return
	}
	defer func() { p.depth-- }()
	if p.peek() == ']' {
		p.pos++
		return
	}
	for p.err == nil {
		if p.peek(); p.err == nil {
			element()
		}
		if p.peek() == ']' {
			p.pos++
			return
		}
		if !p.want(',', "a comma or the end of the array") {
			return
		}
	}
}

// string reads a string.
func (p *parser) string() string {
	if !p.want('"', "a string") {
		return ""
	}
	start := p.pos
	for ; p.pos < len(p.data); p.pos++ {
		switch c := p.data[p.pos]; {
		case c == '"':
			raw := p.data[start:p.pos]
			p.pos++
			return string(raw)
		case c == '\\' || c >= utf8.RuneSelf:
			return p.stringSlow(start)
		case c < 0x20:
			p.failf("control character %#02x in a string", c)
			return ""
		}
	}
	p.fail(errEnd)
	return ""
}

// stringSlow reads on in a string that has escapes or more than ASCII.
func (p *parser) stringSlow(start int) string {
	b := append([]byte(nil), p.data[start:p.pos]...)
	for p.err == nil && p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			p.pos++
			return string(b)
		case c == '\\':
			b = p.escape(b)
		case c < 0x20:
			p.failf("control character %#02x in a string", c)
		case c < utf8.RuneSelf:
			b = append(b, c)
			p.pos++
		default:
			r, n := utf8.DecodeRune(p.data[p.pos:])
			if r == utf8.RuneError && n == 1 {
				p.failf("invalid UTF-8")
				return ""
			}
			b = append(b, p.data[p.pos:p.pos+n]...)
			p.pos += n
		}
	}
	p.fail(errEnd)
	return ""
}

func (p *parser) escape(b []byte) []byte {
	if p.pos+1 >= len(p.data) {
		p.fail(errEnd)
		return b
	}
	c := p.data[p.pos+1]
	p.pos += 2
	switch c {
	case '"', '\\', '/':
		return append(b, c)
	case 'b':
		return append(b, '\b')
	case 'f':
		return append(b, '\f')
	case 'n':
		return append(b, '\n')
	case 'r':
		return append(b, '\r')
	case 't':
		return append(b, '\t')
	case 'u':
		r := p.hex4()
		if utf16.IsSurrogate(r) {
			low := rune(-1)
			if p.pos+1 < len(p.data) && p.data[p.pos] == '\\' && p.data[p.pos+1] == 'u' {
				p.pos += 2
				low = p.hex4()
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				p.failf("half of a surrogate pair")
			}
		}
		return utf8.AppendRune(b, r)
	}
	p.pos--
	p.failf("unknown escape %q", c)
	return b
}

func (p *parser) hex4() rune {
	if p.pos+4 > len(p.data) {
		p.fail(errEnd)
		return 0
	}
	var r rune
	for _, c := range p.data[p.pos : p.pos+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			p.failf("invalid \\u escape")
			return 0
		}
		r = r<<4 | rune(c)
	}
	p.pos += 4
	return r
}

// word takes what looks like a number or a literal.
func (p *parser) word() []byte {
	p.peek()
	start := p.pos
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		if c != '-' && c != '+' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			break
		}
		p.pos++
	}
	if p.err != nil {
		return nil
	}
	return p.data[start:p.pos]
}

// uint reads a whole number of at most limit.
func (p *parser) uint(limit uint64) uint64 {
	p.peek()
	start := p.pos
	w := p.word()
	if p.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(string(w), 10, 64)
	if err != nil || n > limit || len(w) > 1 && w[0] == '0' {
		p.pos = start
		p.failf("expected a whole number from 0 to %d", limit)
		return 0
	}
	return n
}

func (p *parser) bool() bool {
	p.peek()
	start := p.pos
	switch w := string(p.word()); {
	case p.err != nil:
	case w == "true":
		return true
	case w != "false":
		p.pos = start
		p.failf("expected true or false")
	}
	return false
}
