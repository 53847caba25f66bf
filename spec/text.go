package spec

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// cut is how much of a value an error message repeats, in bytes.
const cut = 64

// quote makes text from a file safe to print: quoted, control characters and
// invalid UTF-8 escaped, cut at 64 bytes.
func quote(s string) string {
	if len(s) <= cut {
		return strconv.Quote(s)
	}
	n := cut
	for n > cut-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return strconv.Quote(s[:n]) + "..."
}

// bare is quote without the quotes, for names inside of fixed words.
func bare(s string) string {
	q := quote(s)
	if rest, ok := strings.CutSuffix(q, "..."); ok && len(s) > cut {
		return rest[1:len(rest)-1] + "..."
	}
	return q[1 : len(q)-1]
}

func appendMember(b []byte, name, value string) []byte {
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, `": `...)
	text, err := json.Marshal(value)
	if err != nil { // a string always can be written
		text = []byte(`""`)
	}
	return append(b, text...)
}

// A key is a member of an object whose names are free, such as annotations. In
// a path it is written in brackets.
type key string

// place builds both spellings of a place in the file from its parts: field
// names (string), indexes (int) and free names (key).
func place(parts ...any) (pointer, path string) {
	var ptr, pth []byte
	for _, part := range parts {
		switch v := part.(type) {
		case int:
			ptr = strconv.AppendInt(append(ptr, '/'), int64(v), 10)
			pth = append(strconv.AppendInt(append(pth, '['), int64(v), 10), ']')
		case key:
			ptr = appendPointer(ptr, string(v))
			pth = append(append(append(pth, '['), quote(string(v))...), ']')
		case string:
			ptr = appendPointer(ptr, v)
			pth = appendField(pth, v)
		}
	}
	return string(ptr), string(pth)
}

func appendPointer(b []byte, name string) []byte {
	b = append(b, '/')
	for i := 0; i < len(name); i++ {
		switch c := name[i]; c {
		case '~':
			b = append(b, "~0"...)
		case '/':
			b = append(b, "~1"...)
		default:
			b = append(b, c)
		}
	}
	return b
}

func appendField(b []byte, name string) []byte {
	if !plain(name) {
		return append(append(append(b, '['), quote(name)...), ']')
	}
	if len(b) > 0 {
		b = append(b, '.')
	}
	return append(b, name...)
}

// plain reports whether name can stand in a dotted path as it is.
func plain(name string) bool {
	if name == "" || len(name) > cut {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c != '_' && c != '-' && ('0' > c || c > '9') && !letter(c) {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// control reports whether s holds a control character (C0, DEL or C1).
func control(s string) bool {
	for _, r := range s {
		if r < 0x20 || 0x7f <= r && r < 0xa0 {
			return true
		}
	}
	return false
}
