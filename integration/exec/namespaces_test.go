package exec

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// A process is in the container's namespaces whichever it has of its own, shares with the
// caller, or joined.
func TestNamespaces(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		other := s.launch(t)
		noMounts := func(c *specs.Spec) {
			c.Mounts, c.Linux.MaskedPaths, c.Linux.ReadonlyPaths = nil, nil, nil
			c.Process.Args = []string{"/inside", "sleep", "forever"}
		}
		for name, edits := range map[string][]lab.Edit{
			"no pid":            {lab.Without(specs.PIDNamespace)},
			"only pid":          {lab.Without(specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace)},
			"time":              {lab.Namespace(specs.TimeNamespace, "")},
			"no mounts":         {lab.Without(specs.MountNamespace), noMounts},
			"neither":           {lab.Without(specs.MountNamespace, specs.PIDNamespace), noMounts},
			"another's network": {lab.Namespace(specs.NetworkNamespace, other.Namespace(specs.NetworkNamespace))},
			"another's pid":     {lab.Namespace(specs.PIDNamespace, other.Namespace(specs.PIDNamespace))},
			"another's user": {lab.Namespace(specs.UserNamespace, other.Namespace(specs.UserNamespace)), func(c *specs.Spec) {
				c.Linux.UIDMappings, c.Linux.GIDMappings = nil, nil
			}},
		} {
			t.Run(name, func(t *testing.T) {
				if s.uid == 0 && strings.Contains(name, "user") {
					t.Skip("the user namespace of another container of root's is the host's, which cannot be joined")
				}
				if s.uid != 0 && (name == "no mounts" || name == "neither" || name == "only pid" || strings.HasSuffix(name, "'s pid") || name == "no pid") {
					t.Skip("root of a user namespace may not mount what belongs to the namespaces of others")
				}
				if s.r.User != 0 && name == "another's network" {
					t.Skip("a network namespace cannot be joined by those who do not own its user namespace")
				}
				b := s.bundle(t, append([]lab.Edit{forever}, edits...)...)
				c := s.r.Launch(b)
				// Without /proc the checker cannot see where it is; the kernel can.
				file := pidFile(t, s)
				s.exec(c, []string{"-d", "--pid-file", file}, "/inside", "sleep", "forever").OK()
				pid := readPid(t, file)
				for _, kind := range []specs.LinuxNamespaceType{"pid", "network", "ipc", "uts", "mount", "cgroup", "user", "time"} {
					further := lab.Container{Pid: pid}
					if its, first := readlink(t, further.Namespace(kind)), readlink(t, c.Namespace(kind)); its != first {
						t.Errorf("%s namespace is %s, that of the first process is %s", kind, its, first)
					}
				}
				if root, first := readlink(t, procOf(pid)+"root"), readlink(t, procOf(c.Pid)+"root"); root != first {
					t.Errorf("root is %s, that of the first process is %s", root, first)
				}
				end(t, pid)
				if out := s.exec(c, nil, "/inside", "echo", "here").OK().Stdout; out != "here\n" {
					t.Errorf("it says %q", out)
				}
				c.Kill("KILL").OK()
				c.Wait()
			})
		}
	})
}
