package exec

import (
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// A further process has the keyring of the container, and no other.
func TestKeyring(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.launch(t, lab.Check("add-key", "ocirt-exec-test", "--", "echo", "ready", "--", "sleep", "forever"))
		c.Says("ready")
		if got := s.exec(c, nil, "/inside", "try-key", "ocirt-exec-test").OK().Stdout; got != "ok\n" {
			t.Errorf("a key of the first process: %q", got)
		}
	})
}
