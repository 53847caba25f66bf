package launch

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// Rehearse writes init's program as Create would, and starts nothing. In the place of what
// the program would inherit stands /dev/null.
func Rehearse(in *step.Input, p *plan.Plan) (*entry.Program, error) {
	null, err := os.OpenFile("/dev/null", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open what stands for the sockets: %w", err)
	}
	defer null.Close()
	l := &Launch{
		Request: Request{Input: in, Plan: p, Host: &step.Host{Input: in}, Listener: null, Builder: func(bool) (*os.File, error) { return os.Open("/dev/null") }},
		program: &entry.Program{}, sock: -1, wire: -1,
	}
	defer l.Close()
	program := l.program
	program.FirstFile(in.KeepFDs())
	program.ReportTo(program.Inherit(null))
	listener := program.Inherit(null)
	enter := ns.Enter{
		Program: program, First: p.Number("enter") + len(p.Before), Keep: listener + 1, Before: l.before, Give: l.give,
		Later: l.later(), Hold: l.held(),
	}
	for range p.Namespaces.Join {
		enter.Joined = append(enter.Joined, program.Inherit(null))
	}
	if !p.Namespaces.Direct() {
		done, err := l.inheritBuilder(&enter, l.later())
		if err != nil {
			return nil, err
		}
		defer done()
	}
	if l.points, err = p.Namespaces.Lower(enter); err != nil {
		return nil, err
	}
	return program, l.lowerProcess(listener)
}
