package tour

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// lookAtBuilder is run by a hook, while the builder waits: it looks at each process of a user
// namespace ($1) that is a builder from within that namespace, by a process of pid $2.
const lookAtBuilder = `
for p in /proc/[0-9]*; do
	[ "$(readlink $p/ns/user)" = "$1" ] && grep -q ocirt-builder $p/cmdline || continue
	if nsenter -t "$2" -U readlink $p/root; then echo "root of $p is seen"; else echo "$p is hidden"; fi
done >"$3" 2>&1
`

// A process with all capabilities in a user namespace that another container joins can neither
// trace nor look at what builds that container: it still has the host's root.
func TestBuilderIsHidden(t *testing.T) {
	need.Tool(t, "nsenter")
	s := asRoot(t)
	if !s.runtime.Ours() {
		t.Skip("another runtime has no builder")
	}
	a := s.owner(t, specs.UserNamespace)
	user := a.Namespace(specs.UserNamespace)
	seen := filepath.Join(lab.Dir(t), "seen")
	b := s.sharer(s.bundle(t), specs.UserNamespace, user)
	b.Edit(func(c *specs.Spec) {
		c.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{
			Path: "/bin/sh", Args: []string{"sh", "-c", lookAtBuilder, "sh", link(t, user), itoa(a.Pid), seen}, Env: []string{"PATH=" + os.Getenv("PATH")},
		}}}
	})
	s.runtime.Report(b)
	text, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); !strings.Contains(got, "is hidden") || strings.Contains(got, "is seen") {
		t.Errorf("from within the user namespace the builder is not hidden:\n%s", got)
	}
}

// Where groups cannot be dropped any more inside, because the user namespace that is joined
// forbids it, those of the caller are dropped outside.
func TestGroupsInJoinedUserNamespace(t *testing.T) {
	need.Tool(t, "unshare")
	s := asRoot(t)
	// Maps one user and one group, and denies setgroups(2) for good.
	maker := exec.Command("unshare", "--user", "--map-root-user", "sh", "-c", "echo made; exec sleep 1000")
	out, err := maker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := maker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = maker.Process.Kill(); _ = maker.Wait() })
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	b := s.bundle(t, joinKind(specs.UserNamespace, "/proc/"+itoa(maker.Process.Pid)+"/ns/user"))
	cmd := s.runtime.Command("run", "--bundle", b.Dir, s.runtime.ID())
	cmd.SysProcAttr.Credential = &syscall.Credential{Groups: []uint32{4, 27, 42}}
	r := lab.ParseReport(t, s.runtime.Finish(cmd).OK().Stdout)
	if r.Maps.Setgroups != "deny" {
		t.Fatalf("setgroups is %q in the namespace", r.Maps.Setgroups)
	}
	// Groups that are not mapped are shown as the overflow group.
	if len(slices.DeleteFunc(r.Identity.Groups, func(g int) bool { return g == 0 })) > 0 {
		t.Errorf("the container's process is in the groups %v", r.Identity.Groups)
	}
}
