package resources

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

const spin = "echo up; while :; do :; done"

func cpu(edit func(*specs.LinuxCPU)) *specs.LinuxResources {
	p := &specs.LinuxCPU{}
	edit(p)
	return &specs.LinuxResources{CPU: p}
}

// used is the processor time of the group, in microseconds.
func used(t *testing.T, c *lab.Container) int64 {
	t.Helper()
	if g := groupOf(t, c, "cpu"); g.v2 {
		return g.field("", "cpu.stat", "", "usage_usec")
	}
	n, err := strconv.ParseInt(groupOf(t, c, "cpuacct").read("cpuacct.usage", ""), 10, 64)
	must(t, err)
	return n / 1000
}

// A loop gets its quota, within a tenth: never more; and less only when the machine has not
// as much to give, which is when the quota does not stop it in nearly every period. Its
// weight sees to it that others on the machine do not take its part.
func TestCPUQuota(t *testing.T) {
	r := onBench(t)
	const quota, period = 100000, 200000
	c := r.Launch(shell(t, spin, limits(cpu(func(p *specs.LinuxCPU) {
		p.Quota, p.Period, p.Shares = ptr[int64](quota), ptr[uint64](period), ptr[uint64](262144)
	}))))
	c.Says("up")
	g := groupOf(t, c, "cpu")
	if g.v2 {
		g.want("", "cpu.max", "", "100000 200000")
	} else {
		g.want("cpu.cfs_quota_us", "", "100000", "")
		g.want("cpu.cfs_period_us", "", "200000", "")
	}
	time.Sleep(period * time.Microsecond) // the first period is not a whole one
	for range 5 {
		share, stopped := spell(t, c, g, 3*time.Second)
		t.Logf("%.4f of a processor, stopped in %.2f of the periods", share, stopped)
		switch {
		case share > 0.55:
			t.Fatalf("it got %.3f of a processor, and may have 0.500", share)
		case share >= 0.45 && stopped > 0:
			return
		case stopped > 0.9 && share < 0.35: // an emulated processor loses some of its time
			t.Fatalf("it got %.3f of a processor and was stopped nevertheless", share)
		}
	}
	need.Feature(t, "an idle processor", false, "the machine is too busy to give half a processor")
}

// spell measures for a while which part of a processor a container gets, and in which part
// of the periods its quota stops it.
func spell(t *testing.T, c *lab.Container, g group, d time.Duration) (share, stopped float64) {
	t.Helper()
	count := func(key string) int64 { return g.field("cpu.stat", "cpu.stat", key, key) }
	begin, cpu0, n0, stopped0 := time.Now(), used(t, c), count("nr_periods"), count("nr_throttled")
	time.Sleep(d)
	took, n := used(t, c)-cpu0, count("nr_periods")-n0
	wall := time.Since(begin)
	if n < 7 {
		t.Errorf("%d periods in %v", n, wall)
	}
	return float64(took) / float64(wall.Microseconds()), float64(count("nr_throttled")-stopped0) / float64(max(n, 1))
}

// Two containers on one processor share it as their weights say.
func TestCPUShares(t *testing.T) {
	r := onBench(t)
	weigh := func(shares uint64) *lab.Container {
		return r.Launch(shell(t, spin, limits(cpu(func(p *specs.LinuxCPU) { p.Shares, p.Cpus = &shares, "0" }))))
	}
	small, large := weigh(256), weigh(4096)
	small.Says("up")
	large.Says("up")
	a0, b0 := used(t, small), used(t, large)
	time.Sleep(3 * time.Second)
	a, b := used(t, small)-a0, used(t, large)-b0
	// Sixteen times the weight on v1; on v2, whose scale is another one, nine times.
	t.Logf("256 shares got %d µs, 4096 got %d µs", a, b)
	if ratio := float64(b) / float64(max(a, 1)); ratio < 3 {
		t.Errorf("sixteen times the shares got %.2f times the time", ratio)
	}
}

func TestCPUBurstAndIdle(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever, limits(cpu(func(p *specs.LinuxCPU) {
		p.Quota, p.Period, p.Burst = ptr[int64](20000), ptr[uint64](100000), ptr[uint64](10000)
	}))))
	g := groupOf(t, c, "cpu")
	need.Feature(t, "cpu.burst", !g.missing("cpu.cfs_burst_us", "cpu.max.burst"), "this kernel has no burst")
	g.want("cpu.cfs_burst_us", "cpu.max.burst", "10000", "10000")
	need.Feature(t, "cpu.idle", !g.missing("cpu.idle", "cpu.idle"), "this kernel has no idle groups")
	c = r.Launch(shell(t, forever, limits(cpu(func(p *specs.LinuxCPU) { p.Idle = ptr[int64](1) }))))
	groupOf(t, c, "cpu").want("cpu.idle", "cpu.idle", "1", "1")
}

// The container runs where it may, also after an update.
func TestCpuset(t *testing.T) {
	r := onBench(t)
	here := allowed(t, lab.Host(t, "read", "/proc/self/status"))
	need.Feature(t, "two processors", strings.HasPrefix(here, "0-") || strings.HasPrefix(here, "0,1"), "these tests may run on "+here)
	b := shell(t, "echo up; while :; do /bin/busybox grep ^Cpus_allowed_list /proc/self/status; /bin/busybox sleep 0.05; done",
		limits(cpu(func(p *specs.LinuxCPU) { p.Cpus, p.Mems = "1", "0" })))
	c := r.Launch(b)
	c.Line(2)
	if got := allowed(t, c.Stdout()); got != "1" {
		t.Errorf("it may run on %q, want 1", got)
	}
	g := groupOf(t, c, "cpuset")
	g.want("cpuset.cpus", "cpuset.cpus", "1", "1")
	g.want("cpuset.mems", "cpuset.mems", "0", "0")
	r.Do("update", c.ID, "--cpuset-cpus", "0").OK()
	c.Says("Cpus_allowed_list:\t0\n")
	g.want("cpuset.cpus", "cpuset.cpus", "0", "0")
	g.want("cpuset.mems", "cpuset.mems", "0", "0")
}

// allowed is the first list of processors in a text like /proc/PID/status.
func allowed(t *testing.T, text string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "Cpus_allowed_list:")
	if !ok {
		t.Fatalf("no list of processors in %q", text)
	}
	list, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(list)
}
