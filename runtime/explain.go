package runtime

import (
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// Explain returns the plan that Create would carry out for a bundle on this host: a line a
// step, or JSON. It needs no privileges and starts nothing.
func (rt *Runtime) Explain(id string, b *spec.Bundle, asJSON bool) ([]byte, error) {
	_, p, err := rt.planOf(id, b)
	if err != nil {
		return nil, err
	}
	if asJSON {
		return p.JSON()
	}
	return []byte(p.Text()), nil
}

// planOf compiles what Create would on this host.
func (rt *Runtime) planOf(id string, b *spec.Bundle) (*step.Input, *plan.Plan, error) {
	facts := probe()
	rootless := facts.EUID != 0 || facts.InUserNS
	in := &step.Input{ID: id, Bundle: b, Process: b.Spec.Process, Facts: facts, Options: step.Options{Rootless: rootless}}
	if err := rt.explainCgroups(in); err != nil {
		return nil, nil, err
	}
	p, err := plan.Compile(in)
	return in, p, err
}
