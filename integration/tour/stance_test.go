package tour

import (
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// asRoot puts a runtime of root's on the bench.
func asRoot(t *testing.T) stance {
	t.Helper()
	need.Root(t)
	return stance{name: "root", runtime: lab.New(t), edit: func(*specs.Spec) {}}
}

// asRootMapped is root with a user namespace, in which all ids are other ones.
func asRootMapped(t *testing.T) stance {
	t.Helper()
	need.Root(t)
	return stance{name: "mapped", runtime: lab.New(t), edit: lab.UserNamespace(0, 100000, 65536), uid: 100000}
}

// asUser is an ordinary user with a user namespace, in which only their own id is.
func asUser(t *testing.T) stance {
	t.Helper()
	if os.Geteuid() != 0 {
		need.UserNamespaces(t)
	}
	r := lab.NewAs(t, userID)
	return stance{name: "user", runtime: r, edit: lab.UserNamespace(0, uint32(r.User), 1), uid: r.User}
}

// eachStance runs a test as root, as root with a user namespace, and as an ordinary user.
func eachStance(t *testing.T, test func(*testing.T, stance)) {
	t.Helper()
	t.Run("root", func(t *testing.T) { test(t, asRoot(t)) })
	t.Run("mapped", func(t *testing.T) { test(t, asRootMapped(t)) })
	t.Run("user", func(t *testing.T) { test(t, asUser(t)) })
}

// bundle makes a bundle that this user can run.
func (s stance) bundle(t *testing.T, edits ...lab.Edit) *lab.Bundle {
	t.Helper()
	b := lab.NewBundle(t, append([]lab.Edit{s.edit}, edits...)...)
	if os.Geteuid() == 0 && s.uid != 0 {
		b.Chown(s.uid, s.uid)
	}
	return b
}
