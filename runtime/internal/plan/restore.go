package plan

import (
	"github.com/ocirt/ocirt/runtime/internal/cgroup"
	"github.com/ocirt/ocirt/runtime/internal/netdev"
	"github.com/ocirt/ocirt/runtime/internal/rdt"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// A restored container is made by CRIU from what was saved. What is left for us are the
// things that no image holds.

// restoreEarly is done when its namespaces are there, and nothing in them.
func restoreEarly() []Part {
	return []Part{
		netdev.Devices, // the saved ones went with their namespace
		netdev.Loopback,
		RunHooksPrestart,
		RunHooksCreateRuntime,
	}
}

// restoreLate is done when its processes are there and do not run yet.
func restoreLate() []Part {
	return []Part{
		rdt.Assign,
		cgroup.Limits, // last, or a small limit starves CRIU
	}
}

// Restore compiles what is done to a container that CRIU restores: early and late.
func Restore(in *step.Input) (early, late []step.Entry, err error) {
	if err := compile(in, &early, restoreEarly()); err != nil {
		return nil, nil, err
	}
	return early, late, compile(in, &late, restoreLate())
}

// Sandbox compiles only the sandbox section: what a container that was made before sees of
// the host.
func Sandbox(in *step.Input, p *Plan) error { return compile(in, &p.Sandbox, sandbox()) }
