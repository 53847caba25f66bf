package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The bomb forks without end and ignores all it can; its own limit keeps the machine alive.
const bomb = `trap '' TERM HUP INT; b() { while :; do b & sleep 0.001 & done; }; ulimit -u 100000; b`

func TestKillForkBomb(t *testing.T) {
	onEach(t, "bomb", func(t *testing.T, hs []Hierarchy) {
		if len(hs) == 1 { // no limit there: let it start below one
			for _, h := range hierarchies(t) {
				if hasController(h.Name, "pids") {
					hs = append(hs, h)
				}
			}
		}
		g := create(t, pathsIn(t, "bomb", hs...))
		killBomb(t, g)
	})
	t.Run("freezer alone", func(t *testing.T) {
		var hs []Hierarchy
		for _, h := range hierarchies(t) {
			if hasController(h.Name, "freezer") || hasController(h.Name, "pids") {
				hs = append(hs, h)
			}
		}
		if len(hs) == 0 {
			t.Skip("this host has no freezer of cgroup v1")
		}
		killBomb(t, create(t, pathsIn(t, "bomb", hs...)))
	})
}

func killBomb(t *testing.T, g *Group) {
	t.Helper()
	if dir, v2, ok := g.Dir("pids"); ok && !v2 {
		if err := writeIn(dir, "pids.max", "400"); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Skip("this host has no pids hierarchy of cgroup v1 to bound the bomb")
	}
	start(t, g, bomb)
	time.Sleep(300 * time.Millisecond)
	pids, err := g.Pids()
	if err != nil || len(pids) < 20 {
		t.Fatalf("the bomb has %d processes, %v", len(pids), err)
	}
	begin := time.Now()
	within(t, 5*time.Second, func() error { return g.Kill(ctx) })
	t.Logf("%d processes killed in %v", len(pids), time.Since(begin))
	if pids, err := g.allPids(); err != nil || len(pids) > 0 {
		t.Errorf("left: %v, %v", pids, err)
	}
	if err := g.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	wantGone(t, g)
}

func TestKillFrozen(t *testing.T) {
	onEach(t, "killfrozen", func(t *testing.T, hs []Hierarchy) {
		g := create(t, pathsIn(t, "killfrozen", hs...))
		start(t, g, "sleep 100 & wait")
		if err := g.Freeze(ctx); err != nil {
			t.Fatal(err)
		}
		if frozen, err := g.Frozen(); !frozen || err != nil {
			t.Fatalf("Frozen: %v, %v", frozen, err)
		}
		within(t, time.Second, func() error { return g.Kill(ctx) })
		if frozen, err := g.Frozen(); frozen || err != nil {
			t.Errorf("after Kill, Frozen: %v, %v", frozen, err)
		}
	})
}

// Without cgroup.kill, as on Linux 5.10, a round freezes the v2 group.
func TestKillRoundOnV2(t *testing.T) {
	g := create(t, pathsIn(t, "round", v2Tree(t)))
	cmd := start(t, g, "sleep 100 & sleep 100 & wait")
	waitPids(t, g, 3)
	if err := g.killRound(ctx); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	waitPids(t, g, 0)
	if frozen, err := g.Frozen(); frozen || err != nil {
		t.Errorf("Frozen: %v, %v", frozen, err)
	}
}

// A process in a group that the container made, and froze, dies too.
func TestKillNestedFrozen(t *testing.T) {
	onEach(t, "nested", func(t *testing.T, hs []Hierarchy) {
		g := create(t, pathsIn(t, "nested", hs...))
		inner := &Group{Paths: map[string]string{}}
		for name, dir := range g.Paths {
			inner.Paths[name] = dir + "/a/b"
		}
		in, err := Create(inner.Paths, Options{})
		if err != nil {
			t.Fatal(err)
		}
		start(t, in, "sleep 100")
		if err := in.Freeze(ctx); err != nil {
			t.Fatal(err)
		}
		waitPids(t, g, 1)
		within(t, 2*time.Second, func() error { return g.Kill(ctx) })
		within(t, 2*time.Second, func() error { return g.Remove(ctx) })
		wantGone(t, g)
	})
}

func TestSignal(t *testing.T) {
	onEach(t, "signal", func(t *testing.T, hs []Hierarchy) {
		g := create(t, pathsIn(t, "signal", hs...))
		cmd := start(t, g, "trap 'exit 42' USR1; echo ready; while :; do sleep 0.01; done")
		if err := g.Signal(unix.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if status.ExitStatus() != 42 {
			t.Errorf("the process ended with %v", cmd.ProcessState)
		}
	})
}

func TestRemoveKillsAndSweeps(t *testing.T) {
	onEach(t, "sweep", func(t *testing.T, hs []Hierarchy) {
		g := create(t, pathsIn(t, "sweep", hs...))
		for name, dir := range g.Paths {
			for i := range 200 {
				if err := os.Mkdir(fmt.Sprintf("%s/n%d", dir, i), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			deep := dir + "/n7"
			for range 100 {
				deep += "/d"
				if err := os.Mkdir(deep, 0o755); err != nil {
					t.Fatal(name, err)
				}
			}
		}
		start(t, g, "sleep 100 & wait")
		within(t, 8*time.Second, func() error { return g.Remove(ctx) })
		wantGone(t, g)
	})
}

// A process that no signal reaches is named, and the group stays.
func TestRemoveGivesUp(t *testing.T) {
	h := v2Tree(t)
	g := create(t, pathsIn(t, "stuck", h))
	cmd := start(t, g, "sleep 100")
	short, cancel := context.WithCancel(ctx)
	cancel() // no patience at all
	err := g.Remove(short)
	var e *StillAliveError
	if err != nil && (!errors.As(err, &e) || !strings.Contains(err.Error(), itoa(cmd.Process.Pid))) {
		t.Errorf("Remove gives %v", err)
	}
}

// A damaged record must not kill or remove what is the host's.
func TestRefusesHostGroups(t *testing.T) {
	h := v2Tree(t)
	for _, dir := range []string{h.Mount, "/tmp", "/"} {
		g := Load(map[string]string{"": dir}, nil)
		if err := g.Kill(ctx); err == nil {
			t.Errorf("Kill of %s does not fail", dir)
		}
		if err := g.Signal(unix.SIGCONT); err == nil {
			t.Errorf("Signal of %s does not fail", dir)
		}
		if err := g.Remove(ctx); err == nil {
			t.Errorf("Remove of %s does not fail", dir)
		}
	}
}

func TestZeroGroup(t *testing.T) {
	g := Load(nil, nil)
	files, err := g.JoinFiles()
	fd, err2 := g.CgroupFD()
	pids, err3 := g.Pids()
	frozen, err4 := g.Frozen()
	n, err5 := g.OOMKills()
	all := errors.Join(err, err2, err3, err4, err5, g.Kill(ctx), g.Signal(unix.SIGTERM), g.Thaw(), g.Remove(ctx))
	if all != nil || len(files) > 0 || fd != nil || len(pids) > 0 || frozen || n != 0 {
		t.Error(all, files, fd, pids, frozen, n)
	}
	if err := g.Freeze(ctx); err == nil {
		t.Error("Freeze without a group does not fail")
	}
}

// A group that was removed behind our back is as good as killed and removed.
func TestVanished(t *testing.T) {
	onEach(t, "vanished", func(t *testing.T, hs []Hierarchy) {
		g := create(t, pathsIn(t, "vanished", hs...))
		for _, dir := range g.Paths {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
		}
		pids, err := g.Pids()
		n, err2 := g.OOMKills()
		frozen, err3 := g.Frozen()
		all := errors.Join(err, err2, err3, g.Kill(ctx), g.Signal(unix.SIGTERM), g.Thaw(), g.Remove(ctx))
		if all != nil || len(pids) > 0 || n != 0 || frozen {
			t.Error(all, pids, n, frozen)
		}
		if _, err := g.JoinFiles(); len(hs) > 1 && !errors.Is(err, unix.ENOENT) {
			t.Errorf("JoinFiles gives %v", err)
		}
	})
}
