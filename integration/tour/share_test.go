package tour

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func kinds() []specs.LinuxNamespaceType {
	return []specs.LinuxNamespaceType{"uts", "ipc", "pid", "mount", "network", "user", "cgroup", "time"}
}

// joinKind makes a container join one namespace of another's.
func joinKind(kind specs.LinuxNamespaceType, path string) lab.Edit {
	return func(c *specs.Spec) {
		lab.Namespace(kind, path)(c)
		switch kind {
		case specs.UTSNamespace:
			c.Hostname = ""
		case specs.UserNamespace:
			// The maps are the namespace's own.
			c.Linux.UIDMappings, c.Linux.GIDMappings = nil, nil
		}
	}
}

// owner makes the container whose namespace is shared.
func (s stance) owner(t *testing.T, kind specs.LinuxNamespaceType, edits ...lab.Edit) *lab.Container {
	t.Helper()
	b := s.bundle(t, append(edits, lab.Check("echo", "up", "--", "sleep", "forever"))...)
	switch kind {
	case specs.TimeNamespace:
		b.Edit(offsets)
	case specs.UserNamespace:
		if s.uid == 0 {
			b.Edit(lab.UserNamespace(0, 100000, 65536))
			b.Chown(100000, 100000)
		}
	}
	c := s.runtime.Launch(b)
	c.Says("up")
	return c
}

// sharer makes b the bundle that shares it.
func (s stance) sharer(b *lab.Bundle, kind specs.LinuxNamespaceType, path string) *lab.Bundle {
	b.Edit(joinKind(kind, path))
	if kind == specs.UserNamespace && s.uid == 0 {
		b.Chown(100000, 100000)
	}
	return b
}

// visible shows the root file system of a bundle in another container under the same path,
// where one that joins its mount namespace looks for it.
func visible(b *lab.Bundle) lab.Edit { return lab.Mount(b.Rootfs, "bind", b.Rootfs, "rbind") }

func TestSharing(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			s := asRoot(t)
			b := s.bundle(t)
			a := s.owner(t, kind, visible(b))
			want := link(t, a.Namespace(kind))
			s.sharer(b, kind, a.Namespace(kind))
			r := s.runtime.Report(b)
			if got := r.Namespace(kind); got != want || got == lab.HostNamespace(kind) {
				t.Errorf("the second container is in %s, the first in %s, the host in %s", got, want, lab.HostNamespace(kind))
			}
			for _, other := range kinds() {
				if other != kind && r.Namespace(other) == link(t, a.Namespace(other)) && other != specs.TimeNamespace && other != specs.UserNamespace {
					t.Errorf("the %s namespace is shared, too", other)
				}
			}
			checkAlive(t, a)
		})
	}
}

// Two containers that share all that an engine's "container:" options share.
func TestSharingOfUser(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*testing.T) stance
	}{{"mapped", asRootMapped}, {"user", asUser}} {
		for _, kind := range []specs.LinuxNamespaceType{"uts", "ipc", "pid", "network", "cgroup", "time", "user"} {
			t.Run(c.name+"/"+string(kind), func(t *testing.T) {
				s := c.make(t)
				a := s.owner(t, kind)
				b := s.bundle(t, joinKind(specs.UserNamespace, a.Namespace(specs.UserNamespace)), joinKind(kind, a.Namespace(kind)))
				r := s.runtime.Report(b)
				for _, k := range []specs.LinuxNamespaceType{specs.UserNamespace, kind} {
					if want := link(t, a.Namespace(k)); r.Namespace(k) != want {
						t.Errorf("the second container's %s namespace is %s, the first one's %s", k, r.Namespace(k), want)
					}
				}
				if r.Identity.UIDs[0] != 0 {
					t.Errorf("user inside is %d, want 0", r.Identity.UIDs[0])
				}
				checkAlive(t, a)
			})
		}
	}
}

// The second container is seen from the first one's pid namespace, and ends without it.
func TestSharedPidNamespaceGoesOn(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		a := s.owner(t, specs.PIDNamespace)
		edits := []lab.Edit{joinKind(specs.PIDNamespace, a.Namespace(specs.PIDNamespace)), lab.Check("pids", "--", "echo", "up", "--", "sleep", "forever")}
		if s.uid != 0 {
			edits = append(edits, joinKind(specs.UserNamespace, a.Namespace(specs.UserNamespace)))
		}
		b := s.runtime.Launch(s.bundle(t, edits...))
		b.Says("up")
		if b.Line(1) != "1" {
			t.Errorf("the second container does not see the first one's process: %q", b.Stdout())
		}
		if got := len(processes(t, link(t, a.Namespace(specs.PIDNamespace)))); got != 2 {
			t.Errorf("%d processes are in the namespace, want 2", got)
		}
		b.Kill("KILL").OK()
		b.Wait()
		b.Delete().OK()
		checkAlive(t, a)
	})
}

// A namespace outlives its maker if its file is mounted somewhere.
func TestKeptByMount(t *testing.T) {
	for _, kind := range kinds() {
		if kind == specs.PIDNamespace {
			continue // it ends with its first process, see below
		}
		t.Run(string(kind), func(t *testing.T) {
			path := filepath.Join(lab.Dir(t), "namespace")
			write(t, path, "")
			s := asRoot(t)
			b := s.bundle(t)
			var want string
			for tries := 1; ; tries++ {
				a := s.owner(t, kind, visible(b))
				want = link(t, a.Namespace(kind))
				err := keep(t, a, kind, path)
				if err == nil {
					break
				}
				// A mount namespace can be mounted only in an older one, and since Linux
				// 6.18 the ages of two that were made by different processors are mixed up.
				if kind != specs.MountNamespace || err != unix.EINVAL || tries == 20 {
					t.Fatal(err)
				}
			}
			r := s.runtime.Report(s.sharer(b, kind, path))
			if got := r.Namespace(kind); got != want {
				t.Errorf("the namespace is %s, the one that was kept %s", got, want)
			}
			if kind == specs.TimeNamespace && len(r.Clocks.Offsets) < 2 {
				t.Errorf("offsets are %q", r.Clocks.Offsets)
			}
		})
	}
}

func TestDeadPidNamespaceIsRefused(t *testing.T) {
	path := filepath.Join(lab.Dir(t), "namespace")
	write(t, path, "")
	s := asRoot(t)
	a := s.owner(t, specs.PIDNamespace)
	if err := keep(t, a, specs.PIDNamespace, path); err != nil {
		t.Fatal(err)
	}
	res := s.runtime.CreateFails(s.sharer(s.bundle(t), specs.PIDNamespace, path))
	if s.runtime.Ours() {
		res.Failed(printed(`join pid namespace at "`+path+`": cannot fork into the pid namespace: no such process: the namespace has ended with its first process`),
			"config.json /linux/namespaces/")
	}
}

// keep mounts a namespace's file on path, if the kernel lets it, and removes the container.
func keep(t *testing.T, c *lab.Container, kind specs.LinuxNamespaceType, path string) error {
	t.Helper()
	err := unix.Mount(c.Namespace(kind), path, "", unix.MS_BIND, "")
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	c.Kill("KILL").OK()
	c.Wait()
	c.Delete().OK()
	if _, err := os.Stat("/proc/" + itoa(c.Pid)); err == nil {
		t.Fatalf("the maker %d is still there", c.Pid)
	}
	return err
}

func checkAlive(t *testing.T, c *lab.Container) {
	t.Helper()
	if s := c.State(); s.Status != specs.StateRunning {
		t.Errorf("the first container is %s, want it to go on", s.Status)
	}
}
