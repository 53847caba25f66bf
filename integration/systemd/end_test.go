package systemd

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

func TestRunLeavesNoUnit(t *testing.T) {
	r := onBench(t)
	t.Setenv(lab.Flags, "--systemd-cgroup")
	id := r.ID()
	r.Do("run", "--bundle", bundle(t, lab.Args("/inside", "sleep", "0")).Dir, id).OK()
	noUnit(t, "ocirt-"+id+".scope")
}

// A scope whose processes were killed for want of memory fails, and would stay known.
func TestEndByMemory(t *testing.T) {
	r := onBench(t)
	b := bundle(t, lab.Args("/bin/sh", "-c", "x=x; while :; do x=$x$x; done"), limits(specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(8 << 20)), Swap: ptr(int64(8 << 20))},
	})).Busybox()
	c := create(t, r, b).Start()
	if status := c.Wait(); status != 137 {
		t.Errorf("status %d", status)
	}
	c.Delete().OK()
	noUnit(t, "ocirt-"+c.ID+".scope")
}

func TestDeleteOfFrozenAndNested(t *testing.T) {
	r := onBench(t)
	c := create(t, r, bundle(t)).Start()
	nested := filepath.Join(groupDir(t, c.Pid, "systemd"), "a", "b")
	if err := os.MkdirAll(nested, 0o755); err != nil {
		t.Fatal(err)
	}
	r.Do("pause", c.ID).OK()
	begin := time.Now()
	c.Delete("--force").OK()
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	noUnit(t, "ocirt-"+c.ID+".scope")
}

// Somebody else stops the unit: the container has stopped, and can be deleted.
func TestUnitStoppedByOthers(t *testing.T) {
	r := onBench(t)
	c := create(t, r, bundle(t)).Start()
	unit := "ocirt-" + c.ID + ".scope"
	if out, err := tool(t, "systemctl", "kill", "-s", "KILL", unit); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.Wait()
	if out, err := tool(t, "systemctl", "stop", unit); err != nil && !strings.Contains(out, "not loaded") {
		t.Fatalf("%v: %s", err, out)
	}
	if got := c.State().Status; got != specs.StateStopped {
		t.Errorf("it is %s", got)
	}
	c.Delete().OK()
}

func TestFailedUnitOfTheName(t *testing.T) {
	r := onBench(t)
	name := "f" + itoa(os.Getpid())
	unit := "ocirt-" + name + ".scope"
	out, err := tool(t, "systemd-run", "--scope", "--unit="+unit, "-p", "RuntimeMaxSec=1", "sleep", "60")
	if err == nil {
		t.Fatalf("the scope did not end in time: %s", out)
	}
	if !lab.Eventually(func() bool { return property(t, unit, "ActiveState") == "failed" }) {
		need.Feature(t, "failed-unit", false, "systemd does not keep the failed unit: "+out)
	}
	c := create(t, r, bundle(t, path(":ocirt:"+name)))
	if got := property(t, unit, "ActiveState"); got != "active" {
		t.Errorf("it is %s", got)
	}
	c.Delete("--force").OK()
	noUnit(t, unit)
}

func TestUnitOfSomebodyElse(t *testing.T) {
	r := onBench(t)
	name := "o" + itoa(os.Getpid())
	first := create(t, r, bundle(t, path(":ocirt:"+name)))
	t.Setenv(lab.Flags, "--systemd-cgroup")
	other := r.ID()
	r.Do("create", "--bundle", bundle(t, path(":ocirt:"+name)).Dir, other).Failed("container's cgroup is not empty")
	if got := property(t, "ocirt-"+name+".scope", "ActiveState"); got != "active" {
		t.Errorf("the first one's unit is %s", got)
	}
	first.Delete("--force").OK()
}

// However far create has got when it is killed, delete --force leaves no unit, no group and
// no process.
func TestCreateKilledAnywhere(t *testing.T) {
	r := onBench(t)
	t.Setenv(lab.Flags, "--systemd-cgroup")
	b := bundle(t, limits(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(50))}}))
	begin := time.Now()
	id := r.ID()
	r.Do("create", "--bundle", b.Dir, id).OK()
	whole := time.Since(begin)
	r.Do("delete", "--force", id).OK()
	const steps = 12
	reached := 0
	// On a machine that gets slower meanwhile the unit may come later than the whole took.
	for i := 0; i < steps || reached == 0 && i < 4*steps; i++ {
		id := r.ID()
		cmd := r.Command("create", "--bundle", b.Dir, id)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(whole * time.Duration(i) / steps)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		unit := "ocirt-" + id + ".scope"
		if property(t, unit, "Transient") == "yes" {
			reached++
		}
		t.Setenv(lab.Flags, "") // by the record alone
		r.Do("delete", "--force", id).OK()
		t.Setenv(lab.Flags, "--systemd-cgroup")
		noUnit(t, unit)
		if out, _ := exec.Command("find", "/sys/fs/cgroup"+home(), "-name", unit).Output(); len(out) > 0 {
			t.Errorf("killed after %d/%d: group %s is left", i, steps, out)
		}
	}
	if reached == 0 {
		t.Error("no create was killed while there was a unit")
	}
	r.NothingLeft()
}
