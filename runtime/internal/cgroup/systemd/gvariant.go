package systemd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
)

// ParseValue reads a value in the text form of GVariant, such as 'a string', true, uint64 5
// or ['a', 'b']. What D-Bus has no type for (maybe types) is refused.
//
// Source: "GVariant Text Format" of the GLib documentation.
func ParseValue(text string) (dbus.Value, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("not valid UTF-8")
	}
	p := &valueParser{text: text}
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.text) {
		return nil, fmt.Errorf("%.20q after the end", p.text[p.pos:])
	}
	return n.build(n.signature())
}

// maxNesting is how deep arrays and structs may lie in each other (D-Bus allows 32 each).
const maxNesting = 32

// maxSignature is the length of the longest signature.
const maxSignature = 255

// A node is a value whose type may not be known before its neighbours are.
type node struct {
	kind  byte   // 'n'umber, 's'tring, 'b'ool, 'y' byte string, 'a'rray, '(' tuple, '{' dictionary, 'v'ariant
	typ   string // signature that the text gives explicitly; empty: none
	text  string // of a number, a string or a bool
	items []*node
}

type valueParser struct {
	text string
	pos  int
}

func (p *valueParser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// next skips blanks and returns the byte that follows, 0 at the end.
func (p *valueParser) next() byte {
	p.space()
	if p.pos == len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

func (p *valueParser) accept(c byte) bool {
	if p.next() != c {
		return false
	}
	p.pos++
	return true
}

// word takes letters, digits and what numbers are made of.
func (p *valueParser) word() string {
	start := p.pos
	for p.pos < len(p.text) && strings.IndexByte(letters+digits+".+-", p.text[p.pos]) >= 0 {
		p.pos++
	}
	return p.text[start:p.pos]
}

func (p *valueParser) value(depth int) (*node, error) {
	if depth > maxNesting {
		return nil, errors.New("too deeply nested")
	}
	switch c := p.next(); {
	case c == 0:
		return nil, errors.New("a value is missing")
	case c == '@':
		return p.annotated(depth)
	case c == '\'' || c == '"':
		s, err := p.quoted(false)
		return &node{kind: 's', text: s}, err
	case c == 'b' && p.pos+1 < len(p.text) && (p.text[p.pos+1] == '\'' || p.text[p.pos+1] == '"'):
		p.pos++
		s, err := p.quoted(true)
		return &node{kind: 'y', text: s + "\x00"}, err
	case c == '[':
		p.pos++
		n := &node{kind: 'a'}
		return n, p.list(n, ']', depth)
	case c == '(':
		p.pos++
		n := &node{kind: '('}
		return n, p.list(n, ')', depth)
	case c == '{':
		p.pos++
		return p.dictionary(depth)
	case c == '<':
		p.pos++
		inner, err := p.value(depth + 1)
		if err == nil && !p.accept('>') {
			err = errors.New(`">" is missing`)
		}
		return &node{kind: 'v', items: []*node{inner}}, err
	}
	return p.plain(depth)
}

// annotated reads "@type value".
func (p *valueParser) annotated(depth int) (*node, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.text) && strings.IndexByte(" \t\n", p.text[p.pos]) < 0 {
		p.pos++
	}
	typ := p.text[start:p.pos]
	if len(typ) > maxSignature {
		return nil, fmt.Errorf("a type of more than %d letters", maxSignature)
	}
	if first, rest := cutType(typ); first == "" || rest != "" {
		return nil, fmt.Errorf("%q is not a type", typ)
	}
	return p.typed(typ, depth)
}

// typed reads a value of a type that was given before it.
func (p *valueParser) typed(typ string, depth int) (*node, error) {
	n, err := p.value(depth + 1)
	if err != nil {
		return nil, err
	}
	if n.typ != "" && n.typ != typ {
		return nil, fmt.Errorf("two types for one value: %q and %q", typ, n.typ)
	}
	n.typ = typ
	return n, nil
}

// plain reads a number, a truth value, or a type's name and its value.
func (p *valueParser) plain(depth int) (*node, error) {
	w := p.word()
	switch w {
	case "":
		return nil, fmt.Errorf("%.20q is not a value", p.text[p.pos:])
	case "true", "false":
		return &node{kind: 'b', typ: "b", text: w}, nil
	case "inf", "-inf", "nan", "-nan":
		return &node{kind: 'n', typ: "d", text: w}, nil
	case "nothing", "just":
		return nil, errors.New("D-Bus has no values that may be missing")
	}
	if typ := keywordType(w); typ != "" {
		return p.typed(typ, depth)
	}
	if c := strings.TrimLeft(w, "+-"); c == "" || c[0] != '.' && (c[0] < '0' || c[0] > '9') {
		return nil, fmt.Errorf("%q is not a value", w)
	}
	return &node{kind: 'n', text: w}, nil
}

func keywordType(w string) string {
	switch w {
	case "boolean":
		return "b"
	case "byte":
		return "y"
	case "int16":
		return "n"
	case "uint16":
		return "q"
	case "int32":
		return "i"
	case "uint32":
		return "u"
	case "int64":
		return "x"
	case "uint64":
		return "t"
	case "double":
		return "d"
	case "string":
		return "s"
	case "objectpath":
		return "o"
	case "signature":
		return "g"
	}
	return ""
}

// list reads values up to a closing bracket. A tuple of one has a comma after it.
func (p *valueParser) list(n *node, end byte, depth int) error {
	for !p.accept(end) {
		if len(n.items) > 0 {
			if !p.accept(',') {
				return fmt.Errorf("%q or \",\" is missing", string(end))
			}
			if end == ')' && len(n.items) == 1 && p.accept(end) {
				return nil
			}
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	return nil
}

// dictionary reads "{key: value, ...}".
func (p *valueParser) dictionary(depth int) (*node, error) {
	n := &node{kind: '{'}
	for !p.accept('}') {
		if len(n.items) > 0 && !p.accept(',') {
			return nil, errors.New(`"}" or "," is missing`)
		}
		key, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.accept(':') {
			return nil, errors.New(`":" is missing`)
		}
		value, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, &node{kind: 'e', items: []*node{key, value}})
	}
	return n, nil
}

// quoted reads a string; a byte string has other escapes.
func (p *valueParser) quoted(isBytes bool) (string, error) {
	end := p.text[p.pos]
	p.pos++
	var out []byte
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == end:
			s := string(out)
			if !isBytes && strings.Contains(s, "\x00") {
				return "", errors.New("a string cannot hold NUL")
			}
			return s, nil
		case c != '\\':
			out = append(out, c)
			continue
		}
		var err error
		if out, err = p.escape(out, isBytes); err != nil {
			return "", err
		}
	}
	return "", errors.New("a string does not end")
}

func (p *valueParser) escape(out []byte, isBytes bool) ([]byte, error) {
	if p.pos == len(p.text) {
		return nil, errors.New("a string does not end")
	}
	c := p.text[p.pos]
	p.pos++
	digits := map[byte]int{'u': 4, 'U': 8}[c]
	switch {
	case !isBytes && digits > 0:
		if p.pos+digits > len(p.text) {
			return nil, errors.New("a string does not end")
		}
		r, err := strconv.ParseUint(p.text[p.pos:p.pos+digits], 16, 32)
		if err != nil || r > unicodeMax || !utf8.ValidRune(rune(r)) {
			return nil, fmt.Errorf("%q is not a character", p.text[p.pos-2:p.pos+digits])
		}
		p.pos += digits
		return utf8.AppendRune(out, rune(r)), nil
	case isBytes && c >= '0' && c <= '7':
		v := int(c - '0')
		for i := 0; i < 2 && p.pos < len(p.text) && p.text[p.pos] >= '0' && p.text[p.pos] <= '7'; i++ {
			v = v*8 + int(p.text[p.pos]-'0')
			p.pos++
		}
		return append(out, byte(v)), nil
	case c == '\n':
		return out, nil
	}
	if i := strings.IndexByte("abfnrtv", c); i >= 0 {
		c = "\a\b\f\n\r\t\v"[i]
	}
	return append(out, c), nil
}

const unicodeMax = 0x10ffff
