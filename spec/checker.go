package spec

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Options is what a check may know besides the file.
type Options struct {
	// Rootless: the caller is not root in its user namespace (its effective
	// user id is not 0).
	Rootless bool

	// SystemdCgroup: cgroups are asked of systemd, so linux.cgroupsPath has
	// the form slice:prefix:name and systemd annotations count.
	SystemdCgroup bool

	// StateRoot is the runtime's state directory, in which no root file
	// system may lie. Empty: not checked.
	StateRoot string

	// NoPivot: pivot_root will not be used (--no-pivot).
	NoPivot bool

	// Strict: unknown properties are errors, not notes.
	Strict bool

	// Sources: CheckFiles also looks whether the sources of bind mounts
	// exist. They need to only when the container is created.
	Sources bool
}

// A checker is one validation under way.
type checker struct {
	*Bundle
	opts     Options
	process  *specs.Process
	inConfig bool   // false: a process file by itself
	file     string // its name
	found    Problems

	// shared are the kinds of namespaces that are joined by a path which leads to our own:
	// what is set there is set on the host.
	shared []specs.LinuxNamespaceType
}

// A finding is a problem that does not have its place yet.
type finding struct {
	c *checker
	p Problem
}

// maxFound bounds what a file that consists of mistakes can cost.
const maxFound = 1000

// errorAt begins a problem: c.errorAt("is bad").at("process", "args", 1).
func (c *checker) errorAt(text string) finding {
	return finding{c, Problem{Text: text, File: c.file}}
}

func (c *checker) errorf(format string, args ...any) finding {
	return c.errorAt(fmt.Sprintf(format, args...))
}

func (c *checker) warn(text string) finding {
	f := c.errorAt(text)
	f.p.Warning = true
	return f
}

// words adds what callers of OCI runtimes match.
func (f finding) words(contract string) finding {
	f.p.Contract = contract
	return f
}

// at gives the place and ends the problem.
func (f finding) at(parts ...any) {
	if len(f.c.found) >= maxFound {
		return
	}
	f.p.Pointer, f.p.Path = place(f.c.parts(parts)...)
	f.c.found = append(f.c.found, f.p)
}

// parts makes a place in config.json into one in the file at hand.
func (c *checker) parts(parts []any) []any {
	if !c.inConfig && len(parts) > 0 && parts[0] == "process" {
		return parts[1:]
	}
	if !c.inConfig && len(parts) > 1 && parts[1] == "resources" {
		return parts[2:]
	}
	return parts
}

// A spot gives a place below one that is being checked. It is a function so
// that valid values, the usual case, cost nothing.
type spot func(more ...any) []any

// under joins the parts of a place. It copies, so that a shared beginning is
// safe.
func under(base []any, parts ...any) []any {
	return append(base[:len(base):len(base)], parts...)
}

func (c *checker) missing() finding { return c.errorAt("required field missing") }

// index gives the place of v in list, or -1.
func index[T comparable](list []T, v T) int {
	for i, x := range list {
		if x == v {
			return i
		}
	}
	return -1
}

func has[T comparable](list []T, v T) bool {
	return index(list, v) >= 0
}

// unknownWord is the problem of a word from a fixed list that is not in it.
func (c *checker) unknownWord(word string, list []string) finding {
	text := "unknown " + quote(word)
	if near := nearest(word, list); near != "" {
		text += " (did you mean " + near + "?)"
	}
	return c.errorAt(text)
}

// words makes a list of constants plain.
func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return out
}

// namespace tells whether the container has a namespace of its own of that
// kind, new or joined, and by which path it is joined.
func (c *checker) namespace(kind specs.LinuxNamespaceType) (path string, own bool) {
	if c.Spec == nil || c.Spec.Linux == nil {
		return "", false
	}
	for _, ns := range c.Spec.Linux.Namespaces {
		if ns.Type == kind {
			return ns.Path, true
		}
	}
	return "", false
}

func (c *checker) has(kind specs.LinuxNamespaceType) bool {
	_, own := c.namespace(kind)
	return own
}

// present reports whether the file has a value, even an empty one, at a place
// where a decoded zero says nothing. Without a file it cannot know: false.
func (c *checker) present(parts ...any) bool {
	if c.Raw == nil {
		return false
	}
	pointer, _ := place(c.parts(parts)...)
	return offsets(c.Raw, []string{pointer})[0] >= 0
}
