package process

import (
	"testing"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// BenchmarkCompileAndLower is what every start of a process pays to this package.
func BenchmarkCompileAndLower(b *testing.B) {
	in := input()
	b.ReportAllocs()
	calls := 0
	for b.Loop() {
		var p entry.Program
		i := &step.Init{Program: &p, Input: in, Listener: -1, Cwd: p.Slot(3), Exec: p.String("/x"), Home: p.String("")}
		for _, f := range order {
			err := f(in, func(_ string, s step.Step) {
				if err := s.(step.ProcessStep).Lower(i); err != nil {
					b.Fatal(err)
				}
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		calls = p.Len()
	}
	b.ReportMetric(float64(calls), "calls")
}
