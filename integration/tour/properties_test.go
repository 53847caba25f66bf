package tour

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func TestMemoryPolicy(t *testing.T) {
	_, err := os.Stat("/sys/devices/system/node/node0")
	need.Feature(t, "numa", err == nil, "no memory nodes")
	eachStance(t, func(t *testing.T, s stance) {
		for _, c := range []struct {
			policy *specs.LinuxMemoryPolicy
			want   string
		}{
			{nil, "0 0x0 []"},
			{&specs.LinuxMemoryPolicy{Mode: specs.MpolDefault}, "0 0x0 []"},
			{&specs.LinuxMemoryPolicy{Mode: specs.MpolPreferred, Nodes: "0"}, "1 0x0 [0]"},
			{&specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"}, "2 0x0 [0]"},
			{&specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}}, "2 0x8000 [0]"},
			{&specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0-0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFRelativeNodes}}, "3 0x4000 [0]"},
			{&specs.LinuxMemoryPolicy{Mode: specs.MpolLocal}, "4 0x0 []"},
		} {
			r := s.runtime.Report(s.bundle(t, func(b *specs.Spec) { b.Linux.MemoryPolicy = c.policy }))
			if r.Memory != c.want {
				t.Errorf("%+v: the policy is %q, want %q", c.policy, r.Memory, c.want)
			}
		}
	})
}

func TestMemoryPolicyOfMissingNode(t *testing.T) {
	s := asRoot(t)
	b := s.bundle(t, func(c *specs.Spec) {
		c.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "1000"}
	})
	s.runtime.CreateFails(b, "cannot set memory policy: invalid argument: a memory node is missing")
}

// Deadlines need the whole machine's processors: a container with a set of its own cannot
// have one. The flag lets the checker have threads at all.
func TestDeadline(t *testing.T) {
	s := asRoot(t)
	const millisecond = 1000000
	b := s.bundle(t, func(c *specs.Spec) {
		c.Process.Scheduler = &specs.Scheduler{
			Policy: specs.SchedDeadline, Runtime: millisecond, Deadline: 100 * millisecond, Period: 100 * millisecond,
			Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork},
		}
	})
	res := s.runtime.Run(b)
	need.Feature(t, "deadline", res.Code == 0 || !strings.Contains(res.Stderr, "AllowedCPUs"), "deadlines are refused here: "+res.Stderr)
	x := lab.ParseReport(t, res.OK().Stdout).Scheduling
	if x.Policy != "SCHED_DEADLINE" || x.Flags&1 == 0 {
		t.Errorf("scheduling is %+v", x)
	}
}

// Utilization is clamped, or the kernel says that it cannot.
func TestUtilizationClamps(t *testing.T) {
	s := asRoot(t)
	for _, flag := range []specs.LinuxSchedulerFlag{specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax} {
		res := s.runtime.Run(s.bundle(t, func(c *specs.Spec) {
			c.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Flags: []specs.LinuxSchedulerFlag{flag}}
		}))
		if res.Code != 0 && !strings.Contains(res.Stderr, "this kernel does not clamp utilization") {
			t.Errorf("%s: %v", flag, res)
		}
	}
}

// Kernels that share real time out among groups of version 1 refuse the policy to one that
// has none, with an errno that says nothing.
func TestRealTimeWithoutShare(t *testing.T) {
	_, err := os.Stat("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")
	need.Feature(t, "rt-group", err == nil, "no shares of real time")
	s := asRoot(t)
	b := s.bundle(t, func(c *specs.Spec) {
		c.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO, Priority: 10}
	})
	s.runtime.CreateFails(b, "cannot set scheduler: operation not permitted", "cpu.rt_runtime_us", "linux.resources.cpu.realtimeRuntime")
}

// A mount with mappings of its own: owners of files are others than on disk, without a user
// namespace of the container, and with one that maps differently.
func TestIDMappedMount(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*testing.T) stance
		host uint32 // what owner 0 on disk becomes for the host
	}{{"root", asRoot, 7000}, {"mapped", asRootMapped, 107000}} {
		t.Run(c.name, func(t *testing.T) {
			s := c.make(t)
			dir := lab.Dir(t)
			mountTmpfs(t, dir)
			for name, owner := range map[string]int{"zero": 0, "five": 5} {
				write(t, filepath.Join(dir, name), name)
				if err := os.Chown(filepath.Join(dir, name), owner, owner); err != nil {
					t.Fatal(err)
				}
			}
			maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: c.host, Size: 100}}
			b := s.bundle(t, lab.Mount("/data", "bind", dir, "rbind"), lab.Check("stat", "/data/zero", "--", "stat", "/data/five"))
			b.Edit(func(c *specs.Spec) {
				m := &c.Mounts[len(c.Mounts)-1]
				m.UIDMappings, m.GIDMappings = maps, maps
			})
			res := s.runtime.Run(b)
			need.Feature(t, "idmapped-tmpfs", res.Code == 0 || !strings.Contains(res.Stderr, "mount_setattr"), "no id-mapped tmpfs: "+res.Stderr)
			for i, line := range res.OK().Lines() {
				if want := []string{" 7000 7000", " 7005 7005"}[i]; !strings.Contains(line, want) {
					t.Errorf("%s: want owner%s", line, want)
				}
			}
		})
	}
}

// What is limited can be seen in the container's own group.
func TestHugepageLimit(t *testing.T) {
	controllers, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	need.Feature(t, "hugetlb", err == nil && strings.Contains(string(controllers), "hugetlb"), "no controller hugetlb of version 2")
	pages, _ := filepath.Glob("/sys/kernel/mm/hugepages/hugepages-2048kB")
	need.Feature(t, "hugepages", len(pages) > 0, "no pages of 2 MiB")
	s := asRoot(t)
	b := s.bundle(t,
		lab.Mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro"), lab.Check("read", "/sys/fs/cgroup/hugetlb.2MB.max"),
		func(c *specs.Spec) {
			c.Linux.Resources = &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}}
		})
	if out := s.runtime.Run(b).OK().Stdout; out != "4194304\n" {
		t.Errorf("the limit is %q", out)
	}
}

// crun's annotation keeps the groups of the caller, which a container could not ask for.
func TestKeepOriginalGroups(t *testing.T) {
	s := asRoot(t)
	for value, want := range map[string]int{"1": 3, "": 0} {
		b := s.bundle(t, func(c *specs.Spec) {
			if value != "" {
				c.Annotations = map[string]string{"run.oci.keep_original_groups": value}
			}
		})
		cmd := s.runtime.Command("run", "--bundle", b.Dir, s.runtime.ID())
		need.Tool(t, "setpriv")
		cmd.Path, cmd.Args = "/usr/bin/setpriv", append([]string{"setpriv", "--groups", "4,27,5000", "--"}, cmd.Args...)
		if got := lab.ParseReport(t, s.runtime.Finish(cmd).OK().Stdout).Identity.Groups; len(got) != want {
			t.Errorf("%q: groups are %v", value, got)
		}
	}
}
