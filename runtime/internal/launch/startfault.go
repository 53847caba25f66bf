package launch

import (
	"fmt"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// StartFault makes an error of a failure between start and execve. fromEnd is the number
// of calls from the failed one to the end of init's program, itself included. exec reports
// whether it was the execve.
func StartFault(in *step.Input, r entry.Record, fromEnd int) (err error, exec bool) {
	fault := &step.Fault{Errno: r.Errno}
	p := &entry.Program{}
	init := &step.Init{Program: p, Input: in}
	final, lowerErr := plan.Final(in)
	if lowerErr != nil {
		return fmt.Errorf("cannot start the container's program: %w (%w)", r.Errno, lowerErr), false
	}
	for i, e := range final {
		p.SetStep(i)
		if s, ok := e.Step.(step.ProcessStep); ok {
			if lowerErr := s.Lower(init); lowerErr != nil {
				return lowerErr, false
			}
		}
	}
	label, n := p.Describe(p.Len() - fromEnd)
	fault.Op = label
	out := &step.Error{Where: "init", Err: fault}
	if n >= 0 && n < len(final) {
		out.Step, out.From = final[n].Step.String(), final[n].From
		out.Err = explained(final[n].Step, r.Errno, fault)
	}
	if calls, err := plan.FinalCalls(in); err == nil {
		if why := plan.Denied(in, calls, len(calls)-fromEnd, r.Errno); why != "" {
			out.Err = fmt.Errorf("%w: %s", fault, why)
		}
	}
	return out, n >= 0 && n == len(final)-1
}
