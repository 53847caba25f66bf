package spec

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A fault is something in a string that JSON may allow but a configuration
// may not. The string itself has an end, so decoding goes on.
type fault struct {
	text string
}

// scanString reads the string that starts here. Without escapes the result
// shares memory with the document.
func (d *decoder) scanString() (string, fault) {
	start := d.pos + 1
	high := byte(0)
	for i := start; i < len(d.src); i++ {
		c := d.src[i]
		switch {
		case c == '"':
			d.pos = i + 1
			s := d.src[start:i]
			if high >= utf8.RuneSelf {
				return s, badUTF8(s, start)
			}
			return s, fault{}
		case c == '\\':
			return d.scanEscaped(start, i)
		case c < 0x20:
			d.pos = i
			d.syntax("control character in a string")
			return "", fault{}
		}
		high |= c
	}
	d.pos = len(d.src)
	d.unexpected()
	return "", fault{}
}

func badUTF8(s string, offset int) fault {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return fault{text: "invalid UTF-8 at byte " + strconv.Itoa(offset+i)}
		}
		i += n
	}
	return fault{}
}

// scanEscaped goes on reading a string at its first backslash.
func (d *decoder) scanEscaped(start, i int) (string, fault) {
	b := append(make([]byte, 0, i-start+32), d.src[start:i]...)
	f := badUTF8(d.src[start:i], start)
	for i < len(d.src) {
		c := d.src[i]
		switch {
		case c == '"':
			d.pos = i + 1
			return string(b), f
		case c < 0x20:
			d.pos = i
			d.syntax("control character in a string")
			return "", fault{}
		case c == '\\':
			var n int
			b, n = appendEscape(b, d.src[i:], &f)
			if n == 0 {
				d.pos = i
				if len(d.src)-i < 6 && !strings.Contains(d.src[i:], `"`) {
					d.pos = len(d.src)
					d.unexpected()
				} else {
					d.syntax("invalid escape in a string")
				}
				return "", fault{}
			}
			i += n
		default:
			r, n := utf8.DecodeRuneInString(d.src[i:])
			if r == utf8.RuneError && n == 1 && f.text == "" {
				f.text = "invalid UTF-8 at byte " + strconv.Itoa(i)
			}
			b = append(b, d.src[i:i+n]...)
			i += n
		}
	}
	d.pos = len(d.src)
	d.unexpected()
	return "", fault{}
}

// appendEscape decodes the escape sequence at the start of s and returns its
// length, or 0 if it is none.
func appendEscape(b []byte, s string, f *fault) ([]byte, int) {
	if len(s) < 2 {
		return b, 0
	}
	switch c := s[1]; c {
	case '"', '\\', '/':
		return append(b, c), 2
	case 'b':
		return append(b, '\b'), 2
	case 'f':
		return append(b, '\f'), 2
	case 'n':
		return append(b, '\n'), 2
	case 'r':
		return append(b, '\r'), 2
	case 't':
		return append(b, '\t'), 2
	case 'u':
	default:
		return b, 0
	}
	r, ok := hex4(s)
	if !ok {
		return b, 0
	}
	if r == 0 && f.text == "" {
		f.text = "contains a NUL byte"
	}
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(b, r), 6
	}
	if low, ok := hex4(s[6:]); ok {
		if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
			return utf8.AppendRune(b, both), 12
		}
	}
	if f.text == "" {
		f.text = "invalid Unicode escape " + s[:6]
	}
	return utf8.AppendRune(b, utf8.RuneError), 6
}

// hex4 reads `\uXXXX`.
func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[2:6]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// A number is the text of a JSON number taken apart.
type number struct {
	text     string
	negative bool
	digits   string // of the integer part and the fraction, no point
	point    int    // how many of them stand before the point, after the exponent
}

// scanNumber reads the number that starts here.
func (d *decoder) scanNumber() (number, bool) {
	s, i := d.src, d.pos
	n := number{negative: s[i] == '-'}
	if n.negative {
		i++
	}
	run := func() string {
		from := i
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		return s[from:i]
	}
	whole := run()
	good := whole != "" && (whole == "0" || whole[0] != '0')
	n.digits, n.point = whole, len(whole)
	if i < len(s) && s[i] == '.' {
		i++
		part := run()
		good = good && part != ""
		n.digits += part
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		minus := i < len(s) && s[i] == '-'
		if i < len(s) && (minus || s[i] == '+') {
			i++
		}
		exp := run()
		good = good && exp != ""
		shift, err := strconv.Atoi(exp)
		if err != nil || shift > 1<<20 {
			shift = 1 << 20
		}
		if minus {
			shift = -shift
		}
		n.point += shift
	}
	if !good || !d.delimited(i) {
		if i >= len(s) {
			d.pos = i
			d.unexpected()
		} else {
			d.fail("not a JSON number")
		}
		return n, false
	}
	n.text = s[d.pos:i]
	d.pos = i
	return n, true
}

// value gives the number's magnitude: exact is false if it is no integer,
// fits is false if it has more than 64 bits.
func (n number) value() (v uint64, exact, fits bool) {
	whole, part := n.digits, ""
	switch {
	case n.point <= 0:
		whole, part = "", n.digits
	case n.point < len(n.digits):
		whole, part = n.digits[:n.point], n.digits[n.point:]
	}
	if strings.Trim(part, "0") != "" {
		return 0, false, true
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		return 0, true, true
	}
	zeros := max(n.point-len(n.digits), 0)
	if len(whole)+zeros > 20 {
		return 0, true, false
	}
	v, err := strconv.ParseUint(whole+strings.Repeat("0", zeros), 10, 64)
	return v, true, err == nil
}

// integer reads an integer within [low, high] as magnitude and sign.
func (d *decoder) integer(low int64, high uint64) (v uint64, negative bool) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		d.mismatch("a number")
		return 0, false
	}
	n, ok := d.scanNumber()
	if !ok {
		return 0, false
	}
	v, exact, fits := n.value()
	if !exact {
		d.problem(bare(n.text) + " is not an integer")
		return 0, false
	}
	negative = n.negative && (v != 0 || !fits)
	if !fits || !negative && v > high || negative && v > magnitude(low) {
		d.problem(d.outOfRange(n.text, low, high))
		return 0, false
	}
	return v, negative
}

func magnitude(low int64) uint64 {
	return uint64(-(low + 1)) + 1 // exact for the smallest integer too
}

func (d *decoder) outOfRange(text string, low int64, high uint64) string {
	if d.depth >= 3 && d.path[d.depth-3].key == "rlimits" {
		return rangeText(low, high) + ", found " + bare(text)
	}
	return bare(text) + " is " + rangeText(low, high)
}

func rangeText(low int64, high uint64) string {
	return "out of range (" + strconv.FormatInt(low, 10) + " to " + strconv.FormatUint(high, 10) + ")"
}

func (d *decoder) int(low, high int64) int64 {
	v, negative := d.integer(low, uint64(high))
	if negative {
		return -int64(v)
	}
	return int64(v)
}

func (d *decoder) uint(high uint64) uint64 {
	v, _ := d.integer(0, high)
	return v
}

// id reads a user or group id. 4294967295 passes here, because the rules have
// a better explanation for it than "out of range".
func (d *decoder) id() uint32 {
	d.peek()
	start := d.pos
	if strings.HasPrefix(d.src[start:], "4294967295") && d.delimited(start+10) {
		d.pos += 10
		return math.MaxUint32
	}
	return uint32(d.uint(math.MaxUint32 - 1))
}
