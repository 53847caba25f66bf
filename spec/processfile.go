package spec

import (
	"github.com/opencontainers/runtime-spec/specs-go"
)

// ParseProcess reads and checks a process by itself, as `exec --process` takes
// it. Name is what problems call the file. The process is nil if there are
// errors among the problems; warnings and unknown keys come with a process.
func ParseProcess(name string, raw []byte) (*specs.Process, Problems) {
	p, d := decodeProcess(name, string(raw))
	if d.stopped {
		return nil, d.problems
	}
	b := &Bundle{Spec: new(specs.Spec), Raw: raw}
	c := &checker{Bundle: b, process: p, file: name}
	c.checkProcess()
	all := b.inFileOrder(append(append(d.problems, unlessCovered(c.found, d.problems)...), d.notes...))
	if len(all.Errors()) > 0 {
		return nil, all
	}
	return p, all
}

// CheckProcess checks a process that was made in memory, for exec. Problems
// have paths below process, and name as their file.
func CheckProcess(name string, p *specs.Process) Problems {
	c := &checker{Bundle: &Bundle{Spec: new(specs.Spec)}, process: p, file: name}
	c.checkProcess()
	return c.found
}
