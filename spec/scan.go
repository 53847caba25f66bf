package spec

import (
	"strconv"
	"strings"
)

// Limits of a JSON file. A configuration is data of a few ten kilobytes; what
// goes beyond these is a mistake or an attack.
const (
	maxSize     = 16 << 20 // bytes
	maxDepth    = 128      // nested objects and arrays
	maxEntries  = 65536    // entries of one array or free-form object
	maxProblems = 256      // after this many the rest is not worth reading
)

// A decoder reads a JSON document from a string, one token at a time, and
// knows at each moment the path it is at. Syntax errors stop it; wrong types
// and values are noted and stepped over, so that one reading finds them all.
// It is stricter than JSON demands: no duplicate keys, no invalid UTF-8, no
// NUL characters.
type decoder struct {
	src     string
	pos     int
	depth   int // open objects and arrays
	first   bool
	stopped bool
	key     string // the last key read
	path    [maxDepth]elem

	file     string
	problems Problems
	notes    Problems
	variants []variant
}

// An elem is where in an open object or array the decoder is.
type elem struct {
	key   string
	index int
	kind  kind
}

type kind uint8

const (
	kindNone  kind = iota // just opened
	kindField             // member with a fixed name
	kindKey               // member with a free name
	kindItem              // entry of an array
)

func (d *decoder) peek() byte {
	for d.pos < len(d.src) {
		switch c := d.src[d.pos]; c {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return c
		}
	}
	return 0
}

// open enters an object or array. If something else stands there it says so,
// steps over it and returns false.
func (d *decoder) open(c byte, want string) bool {
	if d.stopped {
		return false
	}
	if d.peek() != c {
		d.mismatch(want)
		return false
	}
	return d.enter()
}

func (d *decoder) enter() bool {
	if d.depth == maxDepth {
		d.fail("nested deeper than " + strconv.Itoa(maxDepth))
		return false
	}
	d.path[d.depth] = elem{}
	d.depth++
	d.pos++
	d.first = true
	return true
}

func (d *decoder) object() bool { return d.open('{', "an object") }
func (d *decoder) array() bool  { return d.open('[', "an array") }

// more steps to the next member or entry, or leaves the container.
func (d *decoder) more(end byte) bool {
	if d.stopped {
		return false
	}
	c := d.peek()
	if c == end && d.pos < len(d.src) {
		d.pos++
		d.depth--
		d.first = false
		return false
	}
	if d.first {
		d.first = false
		return true
	}
	if c != ',' {
		d.unexpected()
		return false
	}
	d.pos++
	if d.peek() == end {
		d.unexpected()
		return false
	}
	return true
}

// nextKey reads the next key of an object with fixed names and its colon.
func (d *decoder) nextKey() bool { return d.keyOf(kindField) }

// nextFree does the same for an object with free names, of which n were read.
func (d *decoder) nextFree(n int) bool {
	return d.keyOf(kindKey) && (n < maxEntries || d.overflow('}'))
}

func (d *decoder) keyOf(k kind) bool {
	if !d.more('}') {
		return false
	}
	if d.peek() != '"' {
		d.unexpected()
		return false
	}
	s, fault := d.scanString()
	if d.stopped {
		return false
	}
	d.key = s
	d.path[d.depth-1] = elem{key: s, kind: k}
	d.report(fault)
	if d.peek() != ':' {
		d.unexpected()
		return false
	}
	d.pos++
	return true
}

// nextItem steps to entry i of an array.
func (d *decoder) nextItem(i int) bool {
	if !d.more(']') {
		return false
	}
	if i >= maxEntries {
		return d.overflow(']')
	}
	d.path[d.depth-1] = elem{index: i, kind: kindItem}
	return true
}

// overflow notes that the container has too many entries and leaves it.
func (d *decoder) overflow(end byte) bool {
	d.path[d.depth-1] = elem{}
	d.problem("more than " + strconv.Itoa(maxEntries) + " entries")
	d.skip()
	for d.more(end) {
		if end == '}' {
			if d.peek() != '"' {
				d.unexpected()
				return false
			}
			d.scanString()
			if d.stopped || d.peek() != ':' {
				d.unexpected()
				return false
			}
			d.pos++
		}
		d.skip()
	}
	return false
}

// take is called for each known key: false means there is nothing to decode,
// because the key is a duplicate or its value is null, which means absent.
func (d *decoder) take(seen *uint64, bit uint) bool {
	if *seen&(1<<bit) != 0 {
		d.duplicate()
		return false
	}
	*seen |= 1 << bit
	return !d.null()
}

func (d *decoder) duplicate() {
	d.problem("duplicate key")
	d.skip()
}

func (d *decoder) null() bool {
	return d.peek() == 'n' && d.literal("null")
}

// literal steps over word if it stands here as a whole.
func (d *decoder) literal(word string) bool {
	if !strings.HasPrefix(d.src[d.pos:], word) || !d.delimited(d.pos+len(word)) {
		return false
	}
	d.pos += len(word)
	return true
}

func (d *decoder) delimited(pos int) bool {
	if pos >= len(d.src) {
		return true
	}
	switch d.src[pos] {
	case ' ', '\t', '\n', '\r', ',', ':', ']', '}':
		return true
	}
	return false
}

func (d *decoder) bool() bool {
	switch d.peek() {
	case 't':
		if d.literal("true") {
			return true
		}
	case 'f':
		if d.literal("false") {
			return false
		}
	}
	d.mismatch("true or false")
	return false
}

func (d *decoder) str() string {
	if d.peek() != '"' {
		d.mismatch("a string")
		return ""
	}
	s, fault := d.scanString()
	d.report(fault)
	return s
}

// skip steps over any value, checking its form.
func (d *decoder) skip() {
	if d.stopped {
		return
	}
	switch c := d.peek(); {
	case c == '"':
		d.str()
	case c == '{':
		if d.enter() {
			for d.nextKey() {
				d.skip()
			}
		}
	case c == '[':
		if d.enter() {
			for i := 0; d.more(']'); i++ {
				d.path[d.depth-1] = elem{index: i, kind: kindItem}
				d.skip()
			}
		}
	case c == '-' || '0' <= c && c <= '9':
		d.scanNumber()
	case c == 't' && d.literal("true"), c == 'f' && d.literal("false"), c == 'n' && d.literal("null"):
	default:
		d.unexpected()
	}
}

// raw steps over any value and returns its text.
func (d *decoder) raw() string {
	d.peek()
	start := d.pos
	d.skip()
	return d.src[start:d.pos]
}
