package spec

import (
	"github.com/opencontainers/runtime-spec/specs-go"
)

// ParseResources reads and checks linux.resources by itself, as `update --resources` takes
// it. Name is what problems call the file; their paths are below linux.resources. The
// resources are nil if there are errors among the problems; warnings and unknown keys come
// with resources.
func ParseResources(name string, raw []byte) (*specs.LinuxResources, Problems) {
	d := &decoder{src: string(raw), file: name}
	r := new(specs.LinuxResources)
	if d.begin() {
		d.decodeLinuxResources(r)
		d.end()
	}
	if d.stopped {
		return nil, d.problems
	}
	b := &Bundle{Spec: new(specs.Spec), Raw: raw}
	c := &checker{Bundle: b, file: name}
	c.resources(r)
	all := b.inFileOrder(append(append(d.problems, unlessCovered(c.found, d.problems)...), d.notes...))
	if len(all.Errors()) > 0 {
		return nil, all
	}
	return r, all
}

// CheckResources checks resources that were made in memory, for update. Problems have paths
// below linux.resources, and name as their file.
func CheckResources(name string, r *specs.LinuxResources) Problems {
	c := &checker{Bundle: &Bundle{Spec: new(specs.Spec)}, file: name}
	c.resources(r)
	return c.found
}

// resources checks all of linux.resources.
func (c *checker) resources(r *specs.LinuxResources) {
	c.deviceRules(r)
	c.memory(r)
	c.cpu(r)
	c.otherResources(r)
	c.unified(r)
}
