package cgroup

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd"
	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/systemdtest"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

var unitSerial atomic.Int32

// A unitStage is a container that is being made with a systemd of ours: a process waits, and
// the units of this systemd are made by hand in the group that it looks after.
type unitStage struct {
	*systemdtest.Server
	step StartUnit
	host *step.Host
	dir  string // of the unit
}

func newUnitStage(t *testing.T, s *systemdtest.Server, name string, config *specs.Spec) *unitStage {
	t.Helper()
	hs := hierarchies(t)
	id := "t" + itoa(os.Getpid()) + "-" + itoa(int(unitSerial.Add(1)))
	if name == "" {
		name = "ocirtfake-test.slice::" + id
	}
	u, err := systemd.NewUnit(name, id, false)
	if err != nil {
		t.Fatal(err)
	}
	paths := UnitPaths(u, "", 0, hs)
	dir, ok := trackingDir(paths)
	need.Feature(t, "systemd-cgroup", ok, "no hierarchy that a systemd could look after")
	slices := map[string]string{}
	for h, p := range paths {
		slices[h] = path.Dir(p)
	}
	t.Cleanup(func() {
		sweep(t, map[string]string{"": path.Dir(path.Dir(dir)) + "/ocirtfake.slice"})
		sweep(t, topsOf(paths))
		sweep(t, paths)
	})
	started := s.Started
	s.Started = func(unit string, properties map[string]any) {
		if started != nil {
			started(unit, properties)
			return
		}
		putIn(t, dir, properties)
	}
	stopped := s.Stopped
	s.Stopped = func(unit string) {
		_ = os.Remove(dir)
		if stopped != nil {
			stopped(unit)
		}
	}
	s.Start(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", s.Address())
	m, err := ConnectSystemd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	if config == nil {
		config = &specs.Spec{}
	}
	in := &step.Input{ID: id, Bundle: &spec.Bundle{Spec: config}, Unit: step.Unit{Name: u.Name, Slice: u.Slice}}
	for _, h := range hs {
		in.Cgroups = append(in.Cgroups, step.Cgroup{Name: h.Name, Mount: h.Mount, Path: paths[h.Name]})
	}
	return &unitStage{s, StartUnit{u.Name, u.Slice}, &step.Host{Input: in, Pid: waiting(t), Systemd: m}, dir}
}

// topsOf are the slices in which a test's groups lie.
func topsOf(paths map[string]string) map[string]string {
	tops := maps.Clone(paths)
	for h, p := range tops {
		for strings.Contains(path.Dir(p), ".slice") {
			p = path.Dir(p)
		}
		tops[h] = p
	}
	return tops
}

// putIn makes a unit's group and moves its processes there.
func putIn(t *testing.T, dir string, properties map[string]any) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Error(err)
	}
	pids, _ := properties["PIDs"].([]uint32)
	for _, pid := range pids {
		if err := writeIn(dir, "cgroup.procs", itoa(int(pid))); err != nil {
			t.Error(err)
		}
	}
}

// waiting starts a process that does nothing.
func waiting(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

func TestStartUnitLife(t *testing.T) {
	config := &specs.Spec{
		Annotations: map[string]string{"org.systemd.property.TimeoutStopSec": "1.5", "org.systemd.property.CollectMode": "'inactive'", "other": "x"},
		Linux:       &specs.Linux{Resources: &specs.LinuxResources{Unified: map[string]string{"memory.oom.group": "1"}}},
	}
	s := newUnitStage(t, &systemdtest.Server{}, "", config)
	planned := PlanUnit(PathsOf(s.host.Input.Cgroups))
	if err := s.step.Do(s.host); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.host.Made, planned) || !slices.Contains(planned, s.dir) {
		t.Errorf("planned %q, made %q", planned, s.host.Made)
	}
	got := s.Properties(s.step.Name)
	for name, want := range map[string]any{
		"Slice": s.step.Slice, "Delegate": true, "DefaultDependencies": false, "MemoryAccounting": true, "TasksAccounting": true,
		"Description": "ocirt container " + s.host.Input.ID, "CollectMode": "inactive", "TimeoutStopUSec": uint64(1500000), "OOMPolicy": "kill",
	} {
		if got[name] != want {
			t.Errorf("%s is %v, not %v", name, got[name], want)
		}
	}
	if pids, ok := got["PIDs"].([]uint32); !ok || len(pids) != 1 || int(pids[0]) != s.host.Pid {
		t.Errorf("PIDs are %v", got["PIDs"])
	}
	n := 0
	for _, g := range s.host.Input.Cgroups {
		if g.Name != "" {
			n++
		}
		if !exists(g.Path) {
			t.Errorf("%s is not there", g.Path)
		}
	}
	if len(s.host.Tasks) != n {
		t.Errorf("%d tasks files for %d hierarchies", len(s.host.Tasks), n)
	}
	for _, f := range s.host.Tasks {
		f.Close()
	}
	// The process is killed and the unit stopped, whatever state it is in.
	if err := s.step.Undo(s.host); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(s.Calls(), "StopUnit") || s.Properties(s.step.Name) != nil {
		t.Errorf("calls %q", s.Calls())
	}
	for _, g := range s.host.Input.Cgroups {
		if exists(g.Path) {
			t.Errorf("%s is still there", g.Path)
		}
	}
}

func TestSliceUnit(t *testing.T) {
	s := newUnitStage(t, &systemdtest.Server{}, "ocirtfake.slice::ocirtfake-test"+itoa(os.Getpid())+".slice", nil)
	if err := s.step.Do(s.host); err != nil {
		t.Fatal(err)
	}
	got := s.Properties(s.step.Name)
	if _, has := got["PIDs"]; has || got["Delegate"] != nil {
		t.Errorf("a slice was started with %v", got)
	}
	if wants, _ := got["Wants"].([]string); !slices.Equal(wants, []string{"ocirtfake.slice"}) {
		t.Errorf("Wants is %v", got["Wants"])
	}
	if pids, err := pidsBelow(s.dir); err != nil || !slices.Contains(pids, s.host.Pid) {
		t.Errorf("in the slice are %v (%v)", pids, err)
	}
	for _, f := range s.host.Tasks {
		f.Close()
	}
	if err := s.step.Undo(s.host); err != nil {
		t.Error(err)
	}
}

func TestInitMustBeInTheUnit(t *testing.T) {
	s := newUnitStage(t, &systemdtest.Server{Started: func(string, map[string]any) {}}, "", nil)
	err := s.step.Do(s.host)
	if err == nil || !strings.Contains(err.Error(), "unable to apply cgroup configuration: systemd has put init into cgroup") {
		t.Errorf("error %v", err)
	}
	if err := s.step.Undo(s.host); err != nil || s.Properties(s.step.Name) != nil {
		t.Errorf("error %v, left %v", err, s.Properties(s.step.Name))
	}
}

func TestUnitOfSomebodyElseIsNotStopped(t *testing.T) {
	s := newUnitStage(t, &systemdtest.Server{}, "", nil)
	m := s.host.Systemd.(*systemd.Manager)
	if err := m.Start(s.step.Name, nil); err != nil { // it has no process: its group is empty
		t.Fatal(err)
	}
	err := s.step.Do(s.host)
	var exists *systemd.ExistsError
	if !errors.As(err, &exists) {
		t.Fatalf("error %v", err)
	}
	if err := s.step.Undo(s.host); err != nil {
		t.Error(err)
	}
	if s.Properties(s.step.Name) == nil {
		t.Error("it is gone")
	}
	if err := writeIn(s.dir, "cgroup.procs", itoa(waiting(t))); err != nil {
		t.Fatal(err)
	}
	var busy *NotEmptyError
	if err := s.step.Do(s.host); !errors.As(err, &busy) {
		t.Errorf("error %v", err)
	}
}

func TestStartUnitAfterAFailedOne(t *testing.T) {
	s := newUnitStage(t, &systemdtest.Server{}, "", nil)
	s.SetState(s.step.Name, "failed")
	if err := s.step.Do(s.host); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.host.Tasks {
		f.Close()
	}
	if err := s.step.Undo(s.host); err != nil {
		t.Error(err)
	}
}

func TestJobThatFails(t *testing.T) {
	s := newUnitStage(t, &systemdtest.Server{Answer: func(c *systemdtest.Conn, call systemdtest.Call) systemdtest.Action {
		if call.Member != "StartTransientUnit" {
			return nil
		}
		return func() { c.EndJob(call, c.Job(call), "failed") }
	}}, "", nil)
	err := s.step.Do(s.host)
	if err == nil || !strings.Contains(err.Error(), `cannot start unit `+s.step.Name+`: the job ended with "failed"`) {
		t.Errorf("error %v", err)
	}
	if err := s.step.Undo(s.host); err != nil {
		t.Error(err)
	}
}

// A container of another time is removed by its record alone.
func TestRemoveByRecord(t *testing.T) {
	for _, reachable := range []bool{true, false} {
		s := newUnitStage(t, &systemdtest.Server{}, "", nil)
		if err := s.step.Do(s.host); err != nil {
			t.Fatal(err)
		}
		for _, f := range s.host.Tasks {
			f.Close()
		}
		if !reachable {
			t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
		}
		g := Load(PathsOf(s.host.Input.Cgroups), s.host.Made)
		g.Unit = &Unit{Name: s.step.Name}
		if err := g.Remove(ctx); err != nil {
			t.Fatalf("reachable %v: %v", reachable, err)
		}
		if left := s.Properties(s.step.Name); reachable && left != nil {
			t.Errorf("left %v", left)
		}
		wantGone(t, g)
		if err := g.Remove(ctx); err != nil {
			t.Errorf("again: %v", err)
		}
	}
}

// What a killed runtime only meant to make is not looked for, and a unit that was there
// before is left alone.
func TestRemoveOfAnIntent(t *testing.T) {
	s := newUnitStage(t, &systemdtest.Server{}, "", nil)
	paths := PathsOf(s.host.Input.Cgroups)
	g := Load(paths, PlanUnit(paths))
	g.Unit = &Unit{Name: s.step.Name}
	if err := g.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.host.Systemd.(*systemd.Manager).Start(s.step.Name, nil); err != nil {
		t.Fatal(err)
	}
	g = Load(paths, PlanUnit(paths))
	g.Unit = &Unit{Name: s.step.Name}
	if err := g.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if s.Properties(s.step.Name) == nil {
		t.Error("a unit that the container did not make was stopped")
	}
}

func TestLimitsOfAUnit(t *testing.T) {
	limits := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: new(int64(64 << 20))}, Pids: &specs.LinuxPids{Limit: new(int64(0))},
	}
	s := newUnitStage(t, &systemdtest.Server{}, "", &specs.Spec{Linux: &specs.Linux{Resources: limits}})
	if err := s.step.Do(s.host); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.host.Tasks {
		f.Close()
	}
	if err := (LimitGroups{}).Do(s.host); err != nil {
		t.Fatal(err)
	}
	g := Load(PathsOf(s.host.Input.Cgroups), s.host.Made)
	g.Unit = &Unit{Name: s.step.Name} // a connection of its own
	memory, pids := "memory.limit_in_bytes", "pids.max"
	property := "MemoryLimit"
	if g.pureV2() {
		memory, property = "memory.max", "MemoryMax"
	}
	check := func(what, wantMemory, wantPids string) {
		t.Helper()
		for file, want := range map[string]string{memory: wantMemory, pids: wantPids} {
			controller, _, _ := strings.Cut(file, ".")
			dir, _, _ := g.Dir(controller)
			if text, err := readIn(dir, file); err != nil || strings.TrimSpace(text) != want {
				t.Errorf("%s: %s is %q (%v), not %s", what, file, text, err, want)
			}
		}
		p := s.Properties(s.step.Name)
		if got := itoa(int(p[property].(uint64))); got != wantMemory {
			t.Errorf("%s: %s is %s, not %s", what, property, got, wantMemory)
		}
		if got := itoa(int(p["TasksMax"].(uint64))); got != wantPids {
			t.Errorf("%s: TasksMax is %s, not %s", what, got, wantPids)
		}
	}
	check("create", "67108864", "1")
	undo, err := g.Update(limits, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(int64(32 << 20))}})
	if err != nil {
		t.Fatal(err)
	}
	check("update", "33554432", "1")
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	check("undo", "67108864", "1")
	// A kernel that refuses takes systemd's word back.
	if _, err := g.Update(limits, &specs.LinuxResources{
		Pids: &specs.LinuxPids{Limit: new(int64(7))}, CPU: &specs.LinuxCPU{Cpus: "4000"},
	}); err == nil {
		t.Error("processor 4000 is there")
	}
	check("failed update", "67108864", "1")
}

func TestAnnotationsThatAreNoProperties(t *testing.T) {
	for key, c := range map[string][2]string{
		"org.systemd.property.TimeoutStopUSec": {"uint64 x", "annotation org.systemd.property.TimeoutStopUSec=uint64 x value parse error: "},
		"org.systemd.property.TimeoutStopSec":  {"'a'", "value parse error: "},
		"org.systemd.property.A.b":             {"true", "annotation org.systemd.property.A.b name incorrect: "},
	} {
		err := CheckAnnotations(map[string]string{key: c[0]})
		var where *step.Error
		if !errors.As(err, &where) || where.From != "/annotations/"+key || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := CheckAnnotations(map[string]string{"org.systemd.property": "x", "org.systemd.propertyX": "x", "a": "org.systemd.property.X"}); err != nil {
		t.Error(err)
	}
}
