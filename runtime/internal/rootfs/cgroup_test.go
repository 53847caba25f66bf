package rootfs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/steptest"
)

// hierarchies are the host's version 1 hierarchies, with the process's own groups.
func hierarchies(t *testing.T) []step.Cgroup {
	t.Helper()
	var list []step.Cgroup
	for _, m := range steptest.Mounts(t, &step.Sandbox{Proc: open(t, "/proc")}) {
		switch m.Type {
		case "cgroup":
			name := filepath.Base(m.Point)
			if name == "systemd" {
				name = "name=systemd"
			}
			list = append(list, step.Cgroup{Name: name, Mount: m.Point, Path: m.Point})
		case "cgroup2":
			list = append(list, step.Cgroup{Mount: m.Point, Path: m.Point})
		}
	}
	return list
}

func TestCgroupVersion1(t *testing.T) {
	for name, own := range map[string]bool{"own-namespace": true, "host-namespace": false} {
		t.Run(name, func(t *testing.T) {
			need.Root(t)
			need.Cgroup1(t)
			steptest.In(t, steptest.Options{Cgroup: own, Network: true}, func(t *testing.T) {
				in := input(t, append(usual(), specs.Mount{
					Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"},
				})...)
				in.Facts.Cgroup = "hybrid"
				in.Cgroups = hierarchies(t)
				if own {
					in.Bundle.Spec.Linux.Namespaces = append(in.Bundle.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
				}
				steptest.Build(t, in, everything, func(b *step.Sandbox, err error) {
					if err != nil {
						t.Fatal(err)
					}
					list := steptest.Mounts(t, b)
					for _, c := range in.Cgroups {
						m := steptest.Find(t, list, "/sys/fs/cgroup/"+filepath.Base(c.Mount))
						if m.Type != "cgroup" && m.Type != "cgroup2" || !m.Has("ro") || !m.Has("nosuid") {
							t.Errorf("%+v", m)
						}
					}
					if m := steptest.Find(t, list, "/sys/fs/cgroup"); m.Type != "tmpfs" || !m.Has("ro") {
						t.Errorf("%+v", m)
					}
					if err := os.Mkdir("/sys/fs/cgroup/memory/x", 0o755); err == nil {
						os.Remove("/sys/fs/cgroup/memory/x")
						t.Error("the hierarchy is writable")
					}
				})
			})
		})
	}
}

func TestCgroupJoinedControllers(t *testing.T) {
	need.Root(t)
	steptest.In(t, steptest.Options{}, func(t *testing.T) {
		in := input(t, specs.Mount{Destination: "/cg", Type: "cgroup", Source: "cgroup"})
		dir := t.TempDir()
		in.Facts.Cgroup = "v1"
		in.Cgroups = []step.Cgroup{
			{Name: "cpu,cpuacct", Mount: "/sys/fs/cgroup/cpu,cpuacct", Path: dir},
			{Name: "name=systemd", Mount: "/sys/fs/cgroup/systemd", Path: dir + "/missing"},
		}
		steptest.Build(t, in, everything, func(_ *step.Sandbox, err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"cpu", "cpuacct"} {
				if got, _ := os.Readlink("/cg/" + name); got != "cpu,cpuacct" {
					t.Errorf("%s: %q", name, got)
				}
			}
			if list, err := os.ReadDir("/cg/systemd"); err != nil || len(list) != 0 {
				t.Errorf("%v, %v", list, err)
			}
		})
	})
}

// Version 2 in a user namespace without a cgroup namespace: the session's groups are there
// to be seen, not to be written (CVE-2023-25809).
func TestCgroupVersion2InUserNamespace(t *testing.T) {
	need.UserNamespaces(t)
	steptest.In(t, steptest.Options{User: true}, func(t *testing.T) {
		for missing, group := range map[bool]string{false: t.TempDir(), true: "/does/not/exist"} {
			in := input(t, specs.Mount{Destination: "/cg", Type: "cgroup", Source: "cgroup"})
			in.Facts.Cgroup = "v2"
			in.Cgroups = []step.Cgroup{{Mount: group, Path: group}}
			steptest.Build(t, in, everything, func(b *step.Sandbox, err error) {
				if err != nil {
					t.Fatal(err)
				}
				if m := steptest.Find(t, steptest.Mounts(t, b), "/cg"); !m.Has("ro") {
					t.Errorf("missing %t: %+v", missing, m)
				}
			})
		}
	})
}
