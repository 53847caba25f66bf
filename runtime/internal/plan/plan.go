// Package plan turns a bundle into the ordered steps that make it a container. Compiling
// is pure: it looks at config.json and at facts given as data, opens nothing, and gives
// the same plan for the same input.
//
// order.go is the life of a container on one page; read it first.
package plan

import (
	"fmt"

	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// A Plan is what will be done to make a container, in order.
type Plan struct {
	Host    []step.Entry // by ocirt, before there is a process; undone by delete
	Before  []step.Entry // by init, with the host's privileges; part of Enter when printed
	Enter   []step.Entry // by init: its namespaces
	Sandbox []step.Entry // by the builder, in the namespaces
	Process []step.Entry // by init, up to execve

	Namespaces ns.Set
}

// Compile makes the plan of a container.
func Compile(in *step.Input) (*Plan, error) {
	p := &Plan{Namespaces: ns.Compile(in)}
	if err := compile(in, &p.Host, host()); err != nil {
		return nil, err
	}
	if err := compile(in, &p.Before, enter()); err != nil {
		return nil, err
	}
	p.Namespaces.Steps(func(from string, s step.Step) {
		p.Enter = append(p.Enter, step.Entry{From: from, Step: s})
	})
	if err := compile(in, &p.Sandbox, sandbox()); err != nil {
		return nil, err
	}
	if in.Process == nil {
		return p, nil
	}
	return p, compile(in, &p.Process, createOrder())
}

func compile(in *step.Input, to *[]step.Entry, parts []Part) error {
	for _, part := range parts {
		err := part(in, func(from string, s step.Step) {
			*to = append(*to, step.Entry{From: from, Step: s})
		})
		if err != nil {
			return fmt.Errorf("cannot plan: %w", err)
		}
	}
	return nil
}

// Steps are all steps in the order in which they are numbered: from 1.
func (p *Plan) Steps() []step.Entry {
	var all []step.Entry
	for _, s := range p.Sections() {
		all = append(all, s.Steps...)
	}
	return all
}

// A Section is a part of the plan with a common place of doing.
type Section struct {
	Name  string
	Steps []step.Entry
}

// Sections are the parts of the plan, in order.
func (p *Plan) Sections() []Section {
	enter := append(p.Before[:len(p.Before):len(p.Before)], p.Enter...)
	return []Section{{"host", p.Host}, {"enter", enter}, {"sandbox", p.Sandbox}, {"process", p.Process}}
}

// Number is the number, from 1, of the first step of a section.
func (p *Plan) Number(section string) int {
	n := 1
	for _, s := range p.Sections() {
		if s.Name == section {
			return n
		}
		n += len(s.Steps)
	}
	return n
}

// Step returns the step with this number, and false if there is none.
func (p *Plan) Step(n int) (step.Entry, bool) {
	if all := p.Steps(); n >= 1 && n <= len(all) {
		return all[n-1], true
	}
	return step.Entry{}, false
}

// Final compiles what stands between start and execve.
func Final(in *step.Input) ([]step.Entry, error) {
	var entries []step.Entry
	err := compile(in, &entries, final())
	return entries, err
}
