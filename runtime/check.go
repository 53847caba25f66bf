package runtime

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/lsm"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// check reports what is wrong with the bundle, as one error; warnings are passed on. See
// passOn for what it returns.
func (rt *Runtime) check(b *spec.Bundle, o spec.Options) (said map[string]bool, err error) {
	problems := b.Validate(o)
	if len(problems.Errors()) == 0 {
		problems = append(problems, b.CheckFiles(o)...)
		problems = append(problems, b.Unsupported()...)
	}
	said = rt.passOn(problems.Warnings())
	if errs := problems.Errors(); len(errs) > 0 {
		return nil, errs
	}
	return said, nil
}

// passOn passes warnings on. Those about capabilities have the words that callers match in
// front, and are said once for all the sets; it returns these words.
func (rt *Runtime) passOn(problems spec.Problems) (said map[string]bool) {
	for _, w := range problems {
		text := w.String()
		if strings.Contains(w.Pointer, "/capabilities/") {
			if said[w.Contract] {
				continue
			}
			if said == nil {
				said = make(map[string]bool)
			}
			said[w.Contract], text = true, w.Contract+": "+text
		}
		rt.warnf("%s", text)
	}
	return said
}

// checkLabels reports what this host has no security module for.
func (rt *Runtime) checkLabels(f *step.Facts, p *specs.Process, l *specs.Linux) error {
	problems := lsm.Check(f, p, l)
	for _, w := range problems.Warnings() {
		rt.warnf("%s", w)
	}
	if errs := problems.Errors(); len(errs) > 0 {
		return errs
	}
	return nil
}

// warnCapabilities says which capabilities the process asks for and will not have, but for
// what was said by passOn.
func (rt *Runtime) warnCapabilities(missing, unraised []string, said map[string]bool) {
	missing = slices.DeleteFunc(missing, func(name string) bool {
		return said["ignoring unknown or unavailable capabilities: ["+name+"]"]
	})
	if len(missing) > 0 {
		rt.warnf("ignoring unknown or unavailable capabilities: %v", missing)
	}
	for _, name := range unraised {
		if words := "can't raise ambient capability " + name; !said[words] {
			rt.warnf("%s: it is not both permitted and inheritable", words)
		}
	}
}
