package resources

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// ticker counts, in two processes, and says each number.
const ticker = `(while :; do echo child; /bin/busybox sleep 0.01; done) & trap 'echo term' TERM; while :; do echo tick; /bin/busybox sleep 0.01; done`

// stands checks that a container says nothing more.
func stands(t *testing.T, c *lab.Container) {
	t.Helper()
	if n := growth(200*time.Millisecond, func() int64 { return int64(len(c.Stdout())) }); n != 0 {
		t.Errorf("a paused container has written %d bytes", n)
	}
}

// goesOn checks that it does.
func goesOn(t *testing.T, c *lab.Container) {
	t.Helper()
	n := len(c.Stdout())
	if !lab.Eventually(func() bool {
		rest := c.Stdout()[n:]
		return strings.Contains(rest, "tick") && strings.Contains(rest, "child")
	}) {
		t.Errorf("the container does not go on: %q", c.Stdout()[n:])
	}
}

func TestPause(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, ticker))
	c.Says("child")
	r.Do("resume", c.ID).Failed("container not paused")
	r.Do("pause", c.ID).OK()
	status(t, c, "paused")
	stands(t, c)
	if list := r.Do("list").OK().Stdout; !strings.Contains(list, " paused ") {
		t.Errorf("list says:\n%s", list)
	}
	r.Do("pause", c.ID).Failed("container not running")
	r.Do("start", c.ID).Failed("cannot start a container in the paused state")
	c.Delete().Failed("cannot delete container " + c.ID + " that is not stopped: paused")
	r.Do("update", c.ID, "--pids-limit", "77").OK()
	status(t, c, "paused")
	stands(t, c)
	if ps := r.Do("ps", "--format", "json", c.ID).OK().Stdout; !strings.Contains(ps, ",") {
		t.Errorf("ps says %s", ps)
	}
	r.Do("resume", c.ID).OK()
	status(t, c, "running")
	goesOn(t, c)
	c.Kill("KILL").OK()
	c.Wait()
	status(t, c, "stopped")
	r.Do("pause", c.ID).Failed("container not running")
	r.Do("resume", c.ID).Failed("container not paused")
	r.Do("update", c.ID, "--pids-limit", "77").Failed("container not running")
	c.Delete().OK()
	r.NothingLeft()
}

// A container is paused as long as nobody has resumed it, also when processes enter it that
// have not stopped yet: an exec does that which found it running a moment before.
func TestPausedWithNewcomers(t *testing.T) {
	need.Root(t) // to move processes of the host
	r := onBench(t)
	c := r.Launch(shell(t, ticker))
	c.Says("child")
	r.Do("pause", c.ID).OK()
	g := groupOf(t, c, "freezer")
	// Beside another on the same processor, one of this class runs, and so stops, late.
	run(t, "taskset", "-c", "0", "/bin/sh", "-c", "while :; do :; done")
	late := run(t, "taskset", "-c", "0", "chrt", "--idle", "0", "/bin/sh", "-c", "while :; do :; done")
	time.Sleep(50 * time.Millisecond)
	must(t, os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(itoa(late.Process.Pid)), 0o644))
	for range 5 {
		if got := c.State().Status; got != "paused" {
			t.Errorf("while one enters it, it is %s", got)
		}
	}
	r.Do("pause", c.ID).Failed("container not running")
	if got := r.Do("exec", c.ID, "/bin/true"); got.Code != 255 || !strings.Contains(got.Stderr, "cannot exec in a paused container") {
		t.Errorf("%v", got)
	}
	r.Do("resume", c.ID).OK()
	status(t, c, "running")
	goesOn(t, c)
}

// run starts a process of the host that ends with the test.
func run(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		go func() { _ = cmd.Wait() }() // not here: a frozen one ends with its container
	})
	return cmd
}

// One that is only created can be paused too, and starts when it goes on.
func TestPauseCreated(t *testing.T) {
	r := onBench(t)
	c := r.Create(shell(t, ticker))
	r.Do("pause", c.ID).OK()
	status(t, c, "paused")
	r.Do("start", c.ID).Failed("cannot start a container in the paused state")
	r.Do("resume", c.ID).OK()
	status(t, c, "created")
	c.Start().Says("tick")
}

// Paused containers end when they are killed; other signals wait.
func TestKillPaused(t *testing.T) {
	for _, own := range []bool{true, false} {
		name := "own pids"
		edit := lab.Edit(func(*specs.Spec) {})
		if !own {
			name, edit = "pids of the host", lab.Without(specs.PIDNamespace)
		}
		t.Run(name, func(t *testing.T) {
			r := onBench(t)
			if !own {
				need.Root(t) // for a proc that is not the container's own
			}
			c := r.Launch(shell(t, ticker, edit))
			c.Says("child")
			r.Do("pause", c.ID).OK()
			c.Kill("TERM").OK()
			stands(t, c)
			status(t, c, "paused")
			r.Do("resume", c.ID).OK()
			c.Says("term")
			r.Do("pause", c.ID).OK()
			c.Kill("KILL").OK()
			if code := c.Wait(); code != 137 {
				t.Errorf("it ends with %d", code)
			}
			status(t, c, "stopped")
			c.Delete().OK()
			r.NothingLeft()
		})
	}
}

func TestDeletePaused(t *testing.T) {
	r := onBench(t)
	for _, started := range []bool{true, false} {
		c := r.Create(shell(t, ticker))
		if started {
			c.Start().Says("child")
		}
		r.Do("pause", c.ID).OK()
		c.Delete("--force").OK()
		r.NothingLeft()
	}
}

// What a container has frozen itself, in a group below its own, is no obstacle to its end.
func TestDeleteNestedFrozen(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, `/bin/busybox sleep 1000 & echo pid $!; `+forever))
	c.Says("up")
	g := groupOf(t, c, "freezer")
	below := filepath.Join(g.dir, "below")
	must(t, os.Mkdir(below, 0o755))
	pids := strings.Fields(g.read("cgroup.procs", "cgroup.procs"))
	last := pids[len(pids)-1]
	for _, pid := range pids {
		if cmdline, _ := os.ReadFile("/proc/" + pid + "/cmdline"); strings.Contains(string(cmdline), "sleep") {
			last = pid
		}
	}
	must(t, os.WriteFile(filepath.Join(below, "cgroup.procs"), []byte(last), 0o644))
	must(t, os.WriteFile(filepath.Join(below, g.file("freezer.state", "cgroup.freeze")), []byte(g.file("FROZEN", "1")), 0o644))
	begin := time.Now()
	c.Delete("--force").OK()
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	r.NothingLeft()
}

// A group above the container's own may be frozen by somebody else: then resume cannot help.
func TestResumeBelowFrozen(t *testing.T) {
	r := onBench(t)
	b := shell(t, ticker)
	need.Feature(t, "cgroupfs", !systemd(), "systemd decides about the groups above")
	path := "/" + r.ID() + "/leaf"
	if ordinary() {
		path = ownGroup(t) + path
	}
	b.Edit(func(s *specs.Spec) { s.Linux.CgroupsPath = path })
	c := r.Launch(b)
	c.Says("child")
	g := groupOf(t, c, "freezer")
	file := filepath.Join(filepath.Dir(g.dir), g.file("freezer.state", "cgroup.freeze"))
	must(t, os.WriteFile(file, []byte(g.file("FROZEN", "1")), 0o644))
	status(t, c, "paused")
	r.Do("resume", c.ID).Failed("a cgroup above its own is frozen")
	must(t, os.WriteFile(file, []byte(g.file("THAWED", "0")), 0o644))
	status(t, c, "running")
}
