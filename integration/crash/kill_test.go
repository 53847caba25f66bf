package crash

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// perRole is how many points of a role are visited if not all are.
const perRole = 24

func TestKillCreate(t *testing.T) {
	need.Root(t)
	killEverywhere(t, operation{args: []string{"create"}, roles: []string{command, child, initer}}, perRole)
}

func TestKillCreateUserNamespace(t *testing.T) {
	need.Root(t)
	killEverywhere(t, operation{
		args: []string{"create"}, roles: []string{command, initer, builder},
		edits: []lab.Edit{lab.UserNamespace(0, 100000, 65536)},
	}, perRole)
}

func TestKillCreateTimeNamespace(t *testing.T) {
	need.Root(t)
	killEverywhere(t, operation{
		args: []string{"create"}, roles: []string{command, initer},
		edits: []lab.Edit{lab.Namespace(specs.TimeNamespace, ""), func(s *specs.Spec) {
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000}}
		}},
	}, perRole)
}

func TestKillCreateJoinedPidNamespace(t *testing.T) {
	need.Root(t)
	keeper := lab.New(t)
	c := keeper.Create(lab.NewBundle(t, lab.Check("sleep", "forever")))
	killEverywhere(t, operation{
		args: []string{"create"}, roles: []string{command, initer},
		edits: []lab.Edit{lab.Namespace(specs.PIDNamespace, fmt.Sprintf("/proc/%d/ns/pid", c.Pid))},
	}, perRole)
}

// hooked adds one hook of each kind that create and start run.
func hooked(t *testing.T) lab.Edit {
	t.Helper()
	path, err := exec.LookPath("true")
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	outside := []specs.Hook{{Path: path}}
	return func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{
			CreateRuntime: outside, CreateContainer: outside, Poststart: outside, Poststop: outside,
			StartContainer: []specs.Hook{{Path: "/inside", Args: []string{"inside", "pid"}}},
		}
	}
}

func TestKillCreateWithHooks(t *testing.T) {
	need.Root(t)
	killEverywhere(t, operation{
		args: []string{"create"}, roles: []string{command, initer}, edits: []lab.Edit{hooked(t)},
	}, perRole)
}

func TestKillStart(t *testing.T) {
	need.Root(t)
	killEverywhere(t, operation{
		before: [][]string{{"create"}}, args: []string{"start"}, roles: []string{command},
	}, perRole)
}

func TestKillStartWithHooks(t *testing.T) {
	need.Root(t)
	killEverywhere(t, operation{
		before: [][]string{{"create"}}, args: []string{"start"}, roles: []string{command, child},
		edits: []lab.Edit{hooked(t)},
	}, perRole)
}

func TestKillRun(t *testing.T) {
	need.Root(t)
	killEverywhere(t, operation{
		args: []string{"run"}, roles: []string{command, initer},
		edits: []lab.Edit{lab.Check("pid")},
	}, perRole)
}

func TestKillKill(t *testing.T) {
	need.Root(t)
	before := [][]string{{"create"}, {"start"}}
	t.Run("new pid namespace", func(t *testing.T) {
		killEverywhere(t, operation{before: before, args: []string{"kill", "ID", "KILL"}, roles: []string{command}}, perRole)
	})
	t.Run("host's pid namespace", func(t *testing.T) {
		killEverywhere(t, operation{
			before: before, args: []string{"kill", "ID", "KILL"}, roles: []string{command},
			edits: []lab.Edit{lab.Without(specs.PIDNamespace)},
		}, perRole)
	})
}

func TestKillDelete(t *testing.T) {
	need.Root(t)
	t.Run("created", func(t *testing.T) {
		killEverywhere(t, operation{before: [][]string{{"create"}}, args: []string{"delete"}, roles: []string{command}}, perRole)
	})
	t.Run("running", func(t *testing.T) {
		killEverywhere(t, operation{
			before: [][]string{{"create"}, {"start"}}, args: []string{"delete", "--force"}, roles: []string{command},
		}, perRole)
	})
}
