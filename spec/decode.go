package spec

import (
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// decodeStrings reads an array of strings. An empty array is not nil: seccomp
// flags mean one thing when absent and another when empty.
func decodeStrings[T ~string](d *decoder) []T {
	if !d.array() {
		return nil
	}
	out := make([]T, 0, 8)
	for d.nextItem(len(out)) {
		out = append(out, T(d.str()))
	}
	return out
}

// begin checks what must be true before the first token.
func (d *decoder) begin() bool {
	if len(d.src) > maxSize {
		d.fail(tooLarge)
		return false
	}
	if len(d.src) >= 3 && d.src[:3] == "\xef\xbb\xbf" {
		d.fail("byte order mark is not allowed")
		return false
	}
	d.peek()
	if d.pos == len(d.src) {
		d.fail("empty file")
		return false
	}
	return true
}

// end checks that nothing follows the document.
func (d *decoder) end() {
	if d.stopped {
		return
	}
	if d.peek(); d.pos < len(d.src) {
		d.fail("trailing data after the document at byte " + strconv.Itoa(d.pos))
	}
}

func decodeSpec(file, src string) (*specs.Spec, *decoder) {
	d := &decoder{src: src, file: file}
	s := new(specs.Spec)
	if d.begin() {
		null := d.null()
		d.pos = 0
		d.decodeSpec(s)
		if null && len(d.problems) > 0 {
			d.problems[0].Contract = "config cannot be null"
		}
		d.end()
	}
	return s, d
}

func decodeProcess(file, src string) (*specs.Process, *decoder) {
	d := &decoder{src: src, file: file}
	p := new(specs.Process)
	if d.begin() {
		d.decodeProcess(p)
		d.end()
	}
	return p, d
}
