package exec

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func TestMain(m *testing.M) { lab.Main(m) }

// A stance is who runs the runtime, and with which user namespace.
type stance struct {
	r    *lab.Runtime
	edit lab.Edit
	uid  int // the container's root on the host
	ids  int // how many ids the container has; 0: all
}

const userID = 1100

func asRoot(t *testing.T) stance {
	t.Helper()
	need.Root(t)
	return stance{r: lab.New(t), edit: func(*specs.Spec) {}}
}

// asMapped is root with a user namespace, in which all ids are other ones.
func asMapped(t *testing.T) stance {
	t.Helper()
	need.Root(t)
	return stance{r: lab.New(t), edit: lab.UserNamespace(0, 100000, 65536), uid: 100000, ids: 65536}
}

// asUser is an ordinary user with a user namespace, in which only their own id is.
func asUser(t *testing.T) stance {
	t.Helper()
	if os.Geteuid() != 0 {
		need.UserNamespaces(t)
	}
	r := lab.NewAs(t, userID)
	return stance{r: r, edit: lab.UserNamespace(0, uint32(r.User), 1), uid: r.User, ids: 1}
}

// asRanged is an ordinary user with subordinate ids.
func asRanged(t *testing.T) stance {
	t.Helper()
	need.Root(t)
	lab.SubordinateIDs(t, userID, 1000)
	r := lab.NewAs(t, userID)
	return stance{r: r, uid: userID, ids: 1001, edit: func(s *specs.Spec) {
		lab.UserNamespace(0, userID, 1)(s)
		more := specs.LinuxIDMapping{ContainerID: 1, HostID: 700000, Size: 1000}
		s.Linux.UIDMappings = append(s.Linux.UIDMappings, more)
		s.Linux.GIDMappings = append(s.Linux.GIDMappings, more)
	}}
}

// eachStance runs a test in all four.
func eachStance(t *testing.T, test func(*testing.T, stance)) {
	t.Helper()
	t.Run("root", func(t *testing.T) { test(t, asRoot(t)) })
	t.Run("mapped", func(t *testing.T) { test(t, asMapped(t)) })
	t.Run("user", func(t *testing.T) { test(t, asUser(t)) })
	t.Run("ranged", func(t *testing.T) { test(t, asRanged(t)) })
}

// bundle makes a bundle that this user can run.
func (s stance) bundle(t *testing.T, edits ...lab.Edit) *lab.Bundle {
	t.Helper()
	b := lab.NewBundle(t, append([]lab.Edit{s.edit}, edits...)...)
	s.own(b)
	return b
}

// host is what a user of the container other than root is on the host.
func (s stance) host(id int) int {
	switch {
	case s.ids == 65536:
		return s.uid + id
	case s.ids > 0:
		return 700000 + id - 1
	}
	return id
}

// own gives the bundle to the container's root, after files were added.
func (s stance) own(b *lab.Bundle) {
	if os.Geteuid() == 0 && s.uid != 0 {
		b.Chown(s.uid, s.uid)
	}
}

// forever makes the container's first process one that does nothing.
func forever(s *specs.Spec) { s.Process.Args = []string{"/inside", "sleep", "forever"} }

// launch starts a container that does nothing.
func (s stance) launch(t *testing.T, edits ...lab.Edit) *lab.Container {
	t.Helper()
	return s.r.Launch(s.bundle(t, append([]lab.Edit{forever}, edits...)...))
}

// exec runs the command to its end. Flags end with the first argument that has no dash.
func (s stance) exec(c *lab.Container, flags []string, command ...string) lab.Result {
	return s.r.Do(slices.Concat([]string{"exec"}, flags, []string{c.ID}, command)...)
}

// look executes the checker's report.
func (s stance) look(t *testing.T, c *lab.Container, flags ...string) *lab.Report {
	t.Helper()
	return lab.ParseReport(t, s.exec(c, flags, "/inside", "report").OK().Stdout)
}

// fails checks the status and words of an exec that could not be.
func fails(t *testing.T, r lab.Result, words ...string) {
	t.Helper()
	if r.Code != 255 || r.Stdout != "" {
		t.Errorf("want status 255 and no output, got %v", r)
	}
	rest := strings.ReplaceAll(r.Stderr, `\"`, `"`)
	for _, w := range append([]string{"exec failed: "}, words...) {
		i := strings.Index(rest, w)
		if i < 0 {
			t.Errorf("%q is not said, or not in its place: %v", w, r)
			return
		}
		rest = rest[i+len(w):]
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
