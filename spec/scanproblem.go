package spec

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// problem notes what is wrong with the value at the current path.
func (d *decoder) problem(text string) {
	if d.stopped {
		return
	}
	pointer, path := d.where(d.depth)
	d.problems = append(d.problems, Problem{Pointer: pointer, Path: path, Text: text, File: d.file})
	if len(d.problems) >= maxProblems {
		d.stopped = true
	}
}

func (d *decoder) report(f fault) {
	if f.text != "" {
		d.problem(f.text)
	}
}

// where gives the current path down to the given depth, with any more parts.
func (d *decoder) where(depth int, more ...any) (pointer, path string) {
	parts := make([]any, 0, depth+len(more))
	for _, e := range d.path[:depth] {
		switch e.kind {
		case kindField:
			parts = append(parts, e.key)
		case kindKey:
			parts = append(parts, key(e.key))
		case kindItem:
			parts = append(parts, e.index)
		}
	}
	return place(append(parts, more...)...)
}

// fail notes a problem that leaves no place to go on from.
func (d *decoder) fail(text string) {
	d.problem(text)
	d.stopped = true
}

// syntax is fail with line and column, both counted from one, in bytes.
func (d *decoder) syntax(text string) {
	before := d.src[:min(d.pos, len(d.src))]
	line := 1 + strings.Count(before, "\n")
	column := len(before) - strings.LastIndexByte(before, '\n')
	d.fail("line " + strconv.Itoa(line) + " column " + strconv.Itoa(column) + ": " + text)
}

func (d *decoder) unexpected() {
	if d.pos >= len(d.src) {
		d.syntax("unexpected end of file")
		return
	}
	r, n := utf8.DecodeRuneInString(d.src[d.pos:])
	if r == utf8.RuneError && n == 1 {
		d.syntax(fmt.Sprintf("unexpected byte 0x%02x", d.src[d.pos]))
		return
	}
	d.syntax("unexpected character " + strconv.QuoteRune(r))
}

// mismatch notes a value of the wrong type and steps over it.
func (d *decoder) mismatch(want string) {
	if d.stopped {
		return
	}
	found := d.found()
	switch {
	case found != "":
		d.problem("expected " + want + ", found " + found)
		d.skip()
	case want == "a number" && d.numeric():
		d.fail("not a JSON number")
	default:
		d.unexpected()
	}
}

// numeric reports whether what stands here is an attempt at a number in some
// other language: +1, .5, NaN, Infinity.
func (d *decoder) numeric() bool {
	if d.pos >= len(d.src) {
		return false
	}
	c := d.src[d.pos]
	return c == '+' || c == '.' || letter(c)
}

// found names the type of the value that stands here, "" if it is none.
func (d *decoder) found() string {
	c := d.peek()
	start := d.pos
	defer func() { d.pos = start }()
	switch {
	case d.pos >= len(d.src):
		return ""
	case c == '{':
		return "object"
	case c == '[':
		return "array"
	case c == '"':
		return "string"
	case c == '-' || '0' <= c && c <= '9':
		return "number"
	case d.literal("true"), d.literal("false"):
		return "boolean"
	case d.literal("null"):
		return "null"
	}
	return ""
}

// A variant is a key that differs from a known one only in case. Whether that
// is a slip or an attempt to be read differently by two programs shows at the
// end of its object.
type variant struct {
	key   string
	field uint // which known one
	depth int  // of the object it stands in
}

// maxNotes bounds what a file full of unknown keys can make us remember.
const maxNotes = 100

// unknown is called for each key that is not one of names.
func (d *decoder) unknown(names []string) {
	for i, name := range names {
		if len(name) == len(d.key) && strings.EqualFold(name, d.key) {
			d.variants = append(d.variants, variant{key: d.key, field: uint(i), depth: d.depth})
			d.skip()
			return
		}
	}
	if len(d.notes) < maxNotes {
		text := "unknown property, ignored"
		if near := nearest(d.key, names); near != "" {
			text += " (did you mean " + quote(near) + "?)"
		}
		pointer, path := d.where(d.depth)
		d.notes = append(d.notes, Problem{Pointer: pointer, Path: path, Text: text, File: d.file, Warning: true})
	}
	d.skip()
}

// settle judges the variants of the object that was just left. Keys in
// required have no meaning when absent. Hooks are forgiven with a warning,
// because the specification says that unknown kinds are ignored.
func (d *decoder) settle(seen uint64, names []string, required uint64, forgive bool) {
	if d.stopped {
		return
	}
	for len(d.variants) > 0 {
		v := d.variants[len(d.variants)-1]
		if v.depth != d.depth+1 {
			return
		}
		d.variants = d.variants[:len(d.variants)-1]
		present, name := seen&(1<<v.field) != 0, names[v.field]
		p := Problem{Text: "key differs from " + quote(name) + " only in case", File: d.file}
		if !present && required&(1<<v.field) != 0 {
			p.Text = "required field missing (found " + quote(v.key) + ")"
			p.Pointer, p.Path = d.where(d.depth, name)
		} else {
			p.Pointer, p.Path = d.where(d.depth, v.key)
		}
		if forgive && !present {
			p.Warning = true
			d.notes = append(d.notes, p)
		} else {
			d.problems = append(d.problems, p)
		}
	}
}
