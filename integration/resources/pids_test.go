package resources

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func pids(n int64) *specs.LinuxResources {
	return &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &n}}
}

// forks starts processes until that is refused, and says so.
const forks = `i=1; trap 'echo refused; while :; do read x; done' EXIT; while :; do /bin/busybox sleep 1000 & i=$((i+1)); echo $i; done`

// At the limit a fork is refused: from inside by EAGAIN, and in the cgroup's counters.
func TestPidsLimit(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forks, limits(pids(7))))
	c.Says("refused")
	if !strings.Contains(c.Stderr(), "can't fork: Resource temporarily unavailable") {
		t.Errorf("no fork was refused: %q, %q", c.Stdout(), c.Stderr())
	}
	if !strings.Contains(c.Stdout(), "7\nrefused") {
		t.Errorf("a limit of 7 allows:\n%s", c.Stdout())
	}
	g := groupOf(t, c, "pids")
	g.want("pids.max", "pids.max", "7", "7")
	g.want("pids.current", "pids.current", "7", "7")
	if n := g.field("pids.events", "pids.events", "max", "max"); n < 1 {
		t.Errorf("the kernel counts %d refusals", n)
	}
}

// The specification: -1 is no limit; 0 is a limit.
func TestPidsLimitOfNone(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever, limits(pids(-1))))
	groupOf(t, c, "pids").want("pids.max", "pids.max", "max", "max")
	c = r.Launch(bundle(t, lab.Args("/bin/busybox", "sleep", "1000"), limits(pids(0))).Busybox())
	none := map[bool]string{false: "0", true: "1"}[systemd()] // which knows no limit of none
	groupOf(t, c, "pids").want("pids.max", "pids.max", none, none)
}

// A container starts under any limit that its own program can live with.
func TestSmallPidsLimit(t *testing.T) {
	for n := range int64(4) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := onBench(t)
			b := bundle(t, lab.Args("/bin/busybox", "echo", "hello"), limits(pids(n))).Busybox()
			if res := r.Run(b).OK(); res.Stdout != "hello\n" {
				t.Errorf("it says %q", res.Stdout)
			}
		})
	}
}
