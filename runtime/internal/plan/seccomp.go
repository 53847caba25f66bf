package plan

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/seccomp"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// ListenerLabel is the label of the call that brings the listener of a seccomp filter, one
// descriptor, to the peer of the process. The process waits for a byte before it goes on.
const ListenerLabel = seccomp.HandOverLabel

// Warnings are those that only compiling finds, for a container that will be made all the
// same.
func (p *Plan) Warnings() []string {
	var list []string
	for _, e := range p.Process {
		if w, ok := e.Step.(interface{ Warnings() []string }); ok {
			list = append(list, w.Warnings()...)
		}
	}
	return list
}

func profileOf(in *step.Input) *specs.LinuxSeccomp {
	if in == nil || in.Bundle == nil || in.Bundle.Spec == nil || in.Bundle.Spec.Linux == nil {
		return nil
	}
	return in.Bundle.Spec.Linux.Seccomp
}

// filtered are the calls that are made with the container's filter loaded.
func filtered(calls []entry.Description) []entry.Description {
	i := slices.IndexFunc(calls, func(d entry.Description) bool { return d.Label == seccomp.LoadLabel })
	if i < 0 {
		return nil
	}
	calls = calls[i+1:]
	// The hand-over of a listener passes the filter by.
	if len(calls) > 3 && calls[0].Label == seccomp.HandOverLabel {
		calls = calls[3:]
	}
	return calls
}

// Denied explains the errno of a call of a program by the container's seccomp profile; it
// is empty if that is not the reason.
func Denied(in *step.Input, calls []entry.Description, index int, errno unix.Errno) string {
	p := profileOf(in)
	if p == nil {
		return ""
	}
	for _, d := range filtered(calls) {
		if d.Index == index {
			return seccomp.Denied(p, &d, errno)
		}
	}
	return ""
}

// Killer says which call of a program ends its process because of the container's seccomp
// profile; it is empty if none is known to.
func Killer(in *step.Input, calls []entry.Description) string {
	if p := profileOf(in); p != nil && seccomp.Kills(p) {
		return seccomp.Killer(p, filtered(calls))
	}
	return ""
}

// FinalCalls are the calls between start and execve that are made with the filter loaded.
func FinalCalls(in *step.Input) ([]entry.Description, error) {
	entries, err := Final(in)
	if err != nil {
		return nil, err
	}
	p := &entry.Program{}
	init := &step.Init{Program: p, Input: in}
	if in.Process != nil && !in.Process.NoNewPrivileges && profileOf(in) != nil {
		p.Call(unix.SYS_SECCOMP).Label(seccomp.LoadLabel) // create has made it
	}
	for _, e := range entries {
		if s, ok := e.Step.(step.ProcessStep); ok {
			if err := s.Lower(init); err != nil {
				return nil, err
			}
		}
	}
	return p.Calls(), nil
}

// Kills reports whether the container's seccomp profile can end a process.
func Kills(in *step.Input) bool {
	p := profileOf(in)
	return p != nil && seccomp.Kills(p)
}
