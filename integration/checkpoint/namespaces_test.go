package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// Namespaces of others are joined again, and not saved.
func TestJoinedNamespaces(t *testing.T) {
	r := bench(t)
	for _, kind := range []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace} {
		t.Run(string(kind), func(t *testing.T) {
			owner := launch(t, r, counting(t))
			path := "/proc/" + itoa(owner.Pid) + "/ns/" + lab.ProcName(kind)
			want, err := os.Readlink(path)
			must(t, err)
			b := counting(t, lab.Namespace(kind, path))
			if kind == specs.UTSNamespace {
				b.Edit(func(s *specs.Spec) { s.Hostname = "" })
			}
			c := launch(t, r, b)
			c.numbers(2)
			images := lab.Dir(t)
			c.checkpoint(images).OK()
			again := restore(t, r, b, c.ID, images)
			again.numbers(2)
			got, err := os.Readlink("/proc/" + itoa(again.Pid) + "/ns/" + lab.ProcName(kind))
			if must(t, err); got != want {
				t.Errorf("it is in %s, and was in %s", got, want)
			}
		})
	}
}

// A container that shares namespaces of the host.
func TestHostNamespaces(t *testing.T) {
	r := bench(t)
	b := counting(t, lab.Without(specs.NetworkNamespace, specs.UTSNamespace, specs.CgroupNamespace))
	c := launch(t, r, b)
	c.numbers(2)
	images := lab.Dir(t)
	c.checkpoint(images).OK()
	again := restore(t, r, b, c.ID, images)
	again.numbers(2)
	for _, kind := range []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.UTSNamespace} {
		if got, _ := os.Readlink("/proc/" + itoa(again.Pid) + "/ns/" + lab.ProcName(kind)); got != lab.HostNamespace(kind) {
			t.Errorf("%s: it is in %s, and the host in %s", kind, got, lab.HostNamespace(kind))
		}
	}
}

func TestUserNamespace(t *testing.T) {
	r := bench(t)
	b := counting(t, lab.UserNamespace(0, 100000, 65536)).Chown(100000, 100000)
	c := launch(t, r, b)
	c.numbers(2)
	images := lab.Dir(t)
	c.checkpoint(images).OK()
	again := restore(t, r, b, c.ID, images)
	again.numbers(2)
	if text := strings.Join(strings.Fields(read(t, "/proc/"+itoa(again.Pid)+"/uid_map")), " "); text != "0 100000 65536" {
		t.Errorf("ids are mapped as %s", text)
	}
	r.Do("exec", c.ID, "/inside", "pid").OK()
}

// What a new network namespace gets it has after restore, too.
func TestLoopback(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(1)
	images := lab.Dir(t)
	c.checkpoint(images, "--empty-ns", "network").OK()
	restore(t, r, b, c.ID, images, "--empty-ns", "network").numbers(1)
	if out := r.Do("exec", c.ID, "/bin/busybox", "ip", "addr", "show", "lo").OK().Stdout; !strings.Contains(out, "127.0.0.1") || !strings.Contains(out, "UP") {
		t.Errorf("lo is %s", out)
	}
}

// The limits of config.json hold for a restored container, and its groups are its own.
func TestCgroups(t *testing.T) {
	r := bench(t)
	limit := int64(17)
	b := counting(t, func(s *specs.Spec) { s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}} })
	c := launch(t, r, b)
	c.numbers(1)
	images := lab.Dir(t)
	c.checkpoint(images).OK()
	file := filepath.Join(b.Rootfs, "tmp/n")
	saved := read(t, file)
	for _, mode := range []string{"soft", "full", "ignore"} {
		t.Run(mode, func(t *testing.T) {
			must(t, os.WriteFile(file, []byte(saved), 0o644))
			again := restore(t, r, b, r.ID(), images, "--manage-cgroups-mode", mode)
			again.numbers(1)
			group := ""
			for line := range strings.Lines(read(t, "/proc/"+itoa(again.Pid)+"/cgroup")) {
				f := strings.SplitN(strings.TrimSpace(line), ":", 3)
				if f[1] == "pids" {
					group = filepath.Join("/sys/fs/cgroup/pids", f[2])
				} else if f[0] == "0" && group == "" {
					group = filepath.Join("/sys/fs/cgroup", f[2])
				}
			}
			if !strings.Contains(group, again.ID) {
				t.Errorf("it is in %s", group)
			}
			if text := strings.TrimSpace(read(t, filepath.Join(group, "pids.max"))); text != "17" {
				t.Errorf("its limit of processes is %s", text)
			}
			r.Do("delete", "--force", again.ID).OK()
			if _, err := os.Stat(group); err == nil {
				t.Errorf("%s is left", group)
			}
			reap()
		})
	}
	// Which would have to make the groups itself.
	r.Do("delete", "--force", c.ID)
	r.Fails([]string{"restore", "--detach", "--bundle", b.Dir, "--image-path", images, "--manage-cgroups-mode", "strict", r.ID()}, "existing cgroups")
}
