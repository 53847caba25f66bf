package spec

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// An UnsupportedProperty is a property, or a subtree of properties, that this
// runtime knows and checks but does not carry out yet.
type UnsupportedProperty struct {
	Pointer string // JSON pointer, "*" for indexes and free names; with all below it
	Reason  string // why, for the reader of the list

	// Refuse: a container that asks for it must not start without it, because
	// it would be less confined than it asked to be, or lack what it needs.
	// Otherwise it starts, with a warning.
	Refuse bool

	asked func(*specs.Spec) bool // nil: not a matter of create
}

// Covers reports whether a leaf, as Leaves lists them, is the property or part
// of it.
func (u UnsupportedProperty) Covers(leaf string) bool {
	return leaf == u.Pointer || strings.HasPrefix(leaf, u.Pointer+"/")
}

// Unsupported lists what is not carried out yet, in the order of the
// specification. When something here is done, its line goes away and the
// completeness test asks for a golden config that shows it.
func Unsupported() []UnsupportedProperty {
	return []UnsupportedProperty{}
}

// Unsupported reports what this bundle asks for that is not carried out yet:
// protection as errors, limits as warnings.
func (b *Bundle) Unsupported() Problems {
	s := b.Spec
	if s.Linux == nil {
		copied := *s
		copied.Linux = new(specs.Linux)
		s = &copied
	}
	var out Problems
	for _, u := range Unsupported() {
		if u.asked != nil && u.asked(s) {
			out = append(out, u.problem())
		}
	}
	return out
}

// UnsupportedProcess does the same for a process that is given to exec.
func UnsupportedProcess(p *specs.Process) Problems {
	s := &specs.Spec{Process: p, Linux: new(specs.Linux)}
	var out Problems
	for _, u := range Unsupported() {
		if u.asked != nil && u.asked(s) {
			out = append(out, u.problem())
		}
	}
	return out
}

func (u UnsupportedProperty) problem() Problem {
	text := "not supported yet"
	if !u.Refuse {
		text += ", ignored"
	}
	p := Problem{
		Pointer: u.Pointer,
		Path:    strings.ReplaceAll(u.Pointer[1:], "/", "."),
		Text:    text,
		Warning: !u.Refuse,
	}
	return p
}

// Leaves lists every property of config.json that concerns Linux, as JSON
// pointers with "*" for the index or free name of an object. Lists and maps of
// plain values are one property.
func Leaves() []string {
	return append([]string(nil), linuxLeaves[:]...)
}

// LeavesIn lists those of Leaves that a config.json sets.
func LeavesIn(raw []byte) []string {
	found := map[string]bool{}
	d := &decoder{src: string(raw)}
	d.walk("", func(pointer string, _ int) {
		for _, leaf := range linuxLeaves {
			if matches(leaf, pointer) {
				found[leaf] = true
			}
		}
	})
	return sortedKeys(found)
}

// matches compares a pointer to a pattern in which "*" is any one part.
func matches(pattern, pointer string) bool {
	for pattern != "" && pointer != "" {
		want, pRest, _ := strings.Cut(pattern[1:], "/")
		have, rest, _ := strings.Cut(pointer[1:], "/")
		if want != "*" && want != have {
			return false
		}
		if pattern, pointer = pRest, rest; pattern != "" {
			pattern = "/" + pattern
		}
		if pointer != "" {
			pointer = "/" + pointer
		}
	}
	return pattern == "" && pointer == ""
}
