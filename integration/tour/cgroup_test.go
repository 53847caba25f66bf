package tour

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func TestCgroupRoot(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		for _, line := range s.runtime.Report(s.bundle(t, lab.Check("report", "cgroups"))).Cgroups {
			if !strings.HasSuffix(line, ":/") {
				t.Errorf("/proc/self/cgroup has %q; want /", line)
			}
		}
	})
}

// From outside, and without a namespace also from inside, the place is the one asked for.
func TestCgroupPath(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*testing.T) stance
	}{{"root", asRoot}, {"mapped", asRootMapped}} {
		t.Run(c.name, func(t *testing.T) {
			s := c.make(t)
			b := s.bundle(t, lab.Without(specs.CgroupNamespace), lab.Check("read", "/proc/self/cgroup", "--", "echo", "up", "--", "sleep", "forever"))
			// A path with the id in it, so that leftovers are found.
			path := "/" + s.runtime.ID() + "/leaf"
			b.Edit(func(c *specs.Spec) { c.Linux.CgroupsPath = path })
			c := s.runtime.Create(b)
			atCreate := cgroupLines(t, c)
			c.Start().Says("up")
			found := 0
			for _, line := range atCreate {
				if strings.HasSuffix(line, ":"+path) {
					found++
				}
				if !strings.Contains(c.Stdout(), line+"\n") {
					t.Errorf("outside there is %q, but inside:\n%s", line, c.Stdout())
				}
			}
			if found == 0 {
				t.Errorf("no hierarchy has %q: %q", path, atCreate)
			}
		})
	}
}

func cgroupLines(t *testing.T, c *lab.Container) []string {
	t.Helper()
	data, err := os.ReadFile("/proc/" + itoa(c.Pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// The options of cgroup2 are one set for the host. A container that sees the host's hierarchy
// gets it whatever options its engine asks for, and the host keeps its own.
func TestCgroupOptionsOfHost(t *testing.T) {
	need.Root(t)
	before := cgroup2Options()
	need.Feature(t, "cgroup2-options", strings.Contains(before, "nsdelegate"), "cgroup2 is mounted without options that could be lost")
	s := asRoot(t)
	for _, kind := range []string{"cgroup", "cgroup2"} {
		for _, options := range [][]string{{"ro"}, {"ro", "nsdelegate", "memory_recursiveprot"}} {
			s.runtime.Run(s.bundle(t, lab.Without(specs.CgroupNamespace), lab.Check("read", "/cg/cgroup.controllers"), func(c *specs.Spec) {
				c.Mounts = append(c.Mounts, specs.Mount{Destination: "/cg", Type: kind, Source: "cgroup", Options: options})
			})).OK()
			if after := cgroup2Options(); after != before {
				t.Errorf("%s with %q: the host's options are %s, were %s", kind, options, after, before)
			}
		}
		s.runtime.Run(s.bundle(t, lab.Without(specs.CgroupNamespace), lab.Check("pid"), func(c *specs.Spec) {
			c.Mounts = append(c.Mounts, specs.Mount{Destination: "/cg", Type: kind, Source: "cgroup", Options: []string{"ocirt-nope"}})
		})).Failed("ocirt-nope")
	}
}

// cgroup2Options are the options of the file system, not those of one of its mounts.
func cgroup2Options() string {
	_, rest, _ := strings.Cut(strings.Join(lab.MountTable(), "\n"), " - cgroup2 ")
	line, _, _ := strings.Cut(rest, "\n")
	_, options, _ := strings.Cut(line, " ")
	return options
}
