package tour

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func TestPidIsOne(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		r := s.runtime.Run(s.bundle(t, lab.Check("pid", "--", "pids"))).OK()
		if r.Stdout != "1\n1\n" {
			t.Errorf("the checker says %q; want to be 1, and to see only 1", r.Stdout)
		}
	})
}

func TestPidOnHostDiffers(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.runtime.Launch(s.bundle(t, lab.Check("echo", "up", "--", "sleep", "forever")))
		c.Says("up")
		if c.Pid <= 1 || c.Pid == os.Getpid() {
			t.Fatalf("pid on the host is %d", c.Pid)
		}
		if got := processes(t, link(t, c.Namespace(specs.PIDNamespace))); !slices.Equal(got, []int{c.Pid}) {
			t.Errorf("the container's processes on the host are %v, want %d alone", got, c.Pid)
		}
	})
}

func TestOrphansAreReaped(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		r := s.runtime.Run(s.bundle(t, lab.Check("orphans", "3", "--", "pids"))).OK()
		if r.Stdout != "3\n1\n" {
			t.Errorf("the checker says %q; want 3 orphans, and then itself alone", r.Stdout)
		}
	})
}

func TestDeathOfFirstKillsTheRest(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.runtime.Launch(s.bundle(t, lab.Check("children", "3", "--", "echo", "up", "--", "sleep", "forever")))
		c.Says("up")
		namespace := link(t, c.Namespace(specs.PIDNamespace))
		if got := processes(t, namespace); len(got) != 4 {
			t.Fatalf("the container has processes %v, want four", got)
		}
		c.Kill("KILL").OK()
		if code := c.Wait(); code != 137 {
			t.Errorf("status is %d, want 137", code)
		}
		if got := processes(t, namespace); len(got) != 0 {
			t.Errorf("processes %v outlive the first one", got)
		}
		if status := c.State().Status; status != specs.StateStopped {
			t.Errorf("status is %q, want stopped", status)
		}
		c.Delete().OK()
		s.runtime.NothingLeft()
	})
}

// Without a pid namespace the rest must be killed by the runtime.
func TestDeleteKillsTheRestWithoutNamespace(t *testing.T) {
	s := asRoot(t)
	b := s.bundle(t, lab.Without(specs.PIDNamespace), lab.Check("children", "3", "--", "echo", "up", "--", "sleep", "forever"))
	c := s.runtime.Launch(b)
	c.Says("up")
	c.Kill("KILL").OK()
	c.Wait()
	c.Delete("--force").OK()
	s.runtime.NothingLeft()
}

// processes are the pids of all processes in a pid namespace, such as "pid:[4026531836]".
func processes(t *testing.T, namespace string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var list []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err == nil && ns == namespace {
			list = append(list, pid)
		}
	}
	return list
}

func link(t *testing.T, path string) string {
	t.Helper()
	to, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return to
}
