package spec

import (
	"errors"
	"strings"
)

// Check does all there is to do with a bundle before it is used: load, fill in
// defaults, and every check. The problems are in file order, warnings and notes
// among them. The bundle is nil if config.json cannot be read at all; it must
// not be used if there are errors.
func Check(dir string, opts Options) (*Bundle, Problems) {
	b, err := Load(dir)
	var broken Problems
	if err != nil && !errors.As(err, &broken) {
		broken = unreadable(err)
	}
	if b == nil {
		return nil, broken
	}
	b.Default()
	found := append(b.Validate(opts), b.CheckFiles(opts)...)
	found = append(found, b.Unsupported()...)
	all := append(broken[:len(broken):len(broken)], unlessCovered(found, broken)...)
	if !opts.Strict { // then they are among the problems
		all = append(all, b.Notes...)
	}
	return b, b.inFileOrder(all)
}

// unlessCovered drops problems of values that could not be decoded: they were
// left out, so that a rule must not call them missing.
func unlessCovered(ps, broken Problems) Problems {
	if len(broken) == 0 {
		return ps
	}
	var out Problems
	for _, p := range ps {
		covered := false
		for _, b := range broken {
			covered = covered || p.Pointer == b.Pointer || strings.HasPrefix(p.Pointer, b.Pointer+"/")
		}
		if !covered {
			out = append(out, p)
		}
	}
	return out
}

// unknownKeys makes notes into errors where that is wanted.
func (c *checker) unknownKeys() {
	if !c.opts.Strict {
		return
	}
	for _, n := range c.Notes {
		n.Warning = false
		c.found = append(c.found, n)
	}
}
