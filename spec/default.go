package spec

import "github.com/opencontainers/runtime-spec/specs-go"

// Default fills in what the runtime specification defines as the meaning of an
// omitted property, so that nobody else has to know it. It invents nothing:
// what the specification leaves open, such as umask, stays unset. Calling it
// twice is the same as once.
func (b *Bundle) Default() {
	s := b.Spec
	if s.Linux == nil {
		s.Linux = new(specs.Linux)
	}
	if r := s.Linux.Resources; r != nil {
		for i := range r.Devices {
			// config-linux, "Allowed Device list": unset means all.
			if r.Devices[i].Type == "" {
				r.Devices[i].Type = "a"
			}
		}
	}
}
