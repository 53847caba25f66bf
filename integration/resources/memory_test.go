package resources

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

const mib = 1 << 20

func memory(limit int64) *specs.LinuxResources {
	return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}}
}

// take makes the container use this much memory, in one piece, and let go of it.
func take(size string) string {
	return "/bin/busybox dd if=/dev/zero of=/dev/null bs=" + size + " count=1 2>/dev/null"
}

// What is within the limit is had, and what is beyond it is killed, seen from inside, from
// the cgroup's counters and by the wait status.
func TestMemoryLimit(t *testing.T) {
	r := onBench(t)
	line := take("8M") + " && echo small; " + take("64M") + "; echo big $?; " + forever
	c := r.Launch(shell(t, line, limits(memory(16*mib))))
	c.Says("big ")
	if !strings.Contains(c.Stdout(), "small\nbig 137\n") {
		t.Errorf("8M and 64M under a limit of 16M: %q", c.Stdout())
	}
	g := groupOf(t, c, "memory")
	g.want("memory.limit_in_bytes", "memory.max", "16777216", "16777216")
	if n := g.field("memory.oom_control", "memory.events", "oom_kill", "oom_kill"); n != 1 {
		t.Errorf("the kernel counts %d kills, want 1", n)
	}
	c.Kill("KILL").OK()
	c.Wait()
}

// The only process of the container is killed: the caller gets the status of a SIGKILL.
func TestMemoryLimitOfFirstProcess(t *testing.T) {
	r := onBench(t)
	b := bundle(t, lab.Args("/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"), limits(memory(16*mib))).Busybox()
	if res := r.Run(b); res.Code != 137 {
		t.Errorf("a hog that is all there is ends with %v", res)
	}
}

// A limit of -1 is none, and then swap has none either.
func TestMemoryUnlimited(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, take("32M")+" && echo had it; "+forever, limits(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](-1)}})))
	c.Says("had it")
	g := groupOf(t, c, "memory")
	if got := g.read("memory.limit_in_bytes", "memory.max"); got != "max" && len(got) < 19 {
		t.Errorf("limit is %q, want none", got)
	}
}

// The rest of what memory has is in its files.
func TestMemoryFiles(t *testing.T) {
	r := onBench(t)
	m := &specs.LinuxMemory{
		Limit: ptr[int64](32 * mib), Swap: ptr[int64](48 * mib), Reservation: ptr[int64](24 * mib),
		Swappiness: ptr[uint64](7), DisableOOMKiller: ptr(true),
	}
	c := r.Launch(shell(t, forever, limits(&specs.LinuxResources{Memory: m})))
	g := groupOf(t, c, "memory")
	g.want("memory.limit_in_bytes", "memory.max", "33554432", "33554432")
	g.want("memory.soft_limit_in_bytes", "memory.low", "25165824", "25165824")
	if !g.missing("memory.memsw.limit_in_bytes", "memory.swap.max") {
		g.want("memory.memsw.limit_in_bytes", "memory.swap.max", "50331648", "16777216")
	}
	if !g.v2 {
		g.want("memory.swappiness", "", "7", "")
		if n := g.field("memory.oom_control", "", "oom_kill_disable", ""); n != 1 {
			t.Errorf("the OOM killer is not disabled")
		}
	}
}

// A hog without the OOM killer waits, and goes on when the limit is raised.
func TestMemoryWithoutOOMKiller(t *testing.T) {
	r := onBench(t)
	m := memory(16 * mib)
	m.Memory.DisableOOMKiller = ptr(true)
	// A program that faces the want in its own code waits; a system call would just fail.
	hog := `/bin/busybox awk 'BEGIN { s = "0123456789abcdef"; for (i = 0; i < 21; i++) s = s s }'`
	c := r.Launch(shell(t, "echo up; "+hog+"; echo had it $?; "+forever, limits(m)))
	g := groupOf(t, c, "memory")
	need.Feature(t, "OOM killer to do without", !g.v2, "cgroup v2 always has it")
	c.Says("up")
	if !lab.Eventually(func() bool { return g.field("memory.oom_control", "", "under_oom", "") == 1 }) {
		t.Fatal("the container is never out of memory")
	}
	r.Do("update", c.ID, "--memory-swap", "128M", "--memory", "128M").OK()
	c.Says("had it 0")
}
