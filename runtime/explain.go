package runtime

import (
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// Explain returns the plan that Create would carry out for a bundle on this host: a line a
// step, or JSON. It needs no privileges and starts nothing.
func (rt *Runtime) Explain(id string, b *spec.Bundle, asJSON bool) ([]byte, error) {
	facts := probe()
	rootless := facts.EUID != 0 || facts.InUserNS
	in := &step.Input{ID: id, Bundle: b, Process: b.Spec.Process, Facts: facts, Options: step.Options{Rootless: rootless}}
	var err error
	if in.Cgroups, err = cgroups(b, id, rootless); err != nil {
		return nil, err
	}
	p, err := plan.Compile(in)
	if err != nil {
		return nil, err
	}
	if asJSON {
		return p.JSON()
	}
	return []byte(p.Text()), nil
}
