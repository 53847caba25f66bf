package checkpoint

import (
	"os"
	"strconv"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func itoa(n int) string { return strconv.Itoa(n) }

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

// hooks makes hooks of these kinds write their kind to a file.
func hooks(log string, kinds ...string) lab.Edit {
	return func(s *specs.Spec) {
		h := &specs.Hooks{}
		for _, kind := range kinds {
			hook := []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo " + kind + " >>" + log}}}
			switch kind {
			case "prestart":
				h.Prestart = hook //nolint:staticcheck // deprecated by the specification, and still what engines send
			case "createRuntime":
				h.CreateRuntime = hook
			case "createContainer":
				h.CreateContainer = hook
			case "startContainer":
				h.StartContainer = hook
			case "poststart":
				h.Poststart = hook
			case "poststop":
				h.Poststop = hook
			}
		}
		s.Hooks = h
	}
}

func failingHook(s *specs.Spec) {
	//nolint:staticcheck // deprecated by the specification, and still what engines send
	s.Hooks = &specs.Hooks{Prestart: []specs.Hook{{Path: "/bin/false"}}}
}
