package cgroup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var ctx = context.Background()

func TestLife(t *testing.T) {
	onEach(t, "life", func(t *testing.T, hs []Hierarchy) {
		paths := pathsIn(t, "life", hs...)
		planned := Plan(paths, nil)
		g := create(t, paths)
		if !slices.Equal(planned, g.Made) || len(g.Made) != len(hs) {
			t.Errorf("planned %q, made %q", planned, g.Made)
		}
		cmd := start(t, g, "sleep 100 & wait")
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hs {
			line := ":" + h.Name + ":" + strings.TrimPrefix(paths[h.Name], h.Mount) + "\n"
			if !strings.Contains(string(text), line) {
				t.Errorf("the process is not in %q:\n%s", line, text)
			}
		}
		waitPids(t, g, 2)
		within(t, 2*time.Second, func() error { return g.Kill(ctx) })
		if pids, err := g.Pids(); err != nil || len(pids) > 0 {
			t.Errorf("after Kill: %v, %v", pids, err)
		}
		within(t, 2*time.Second, func() error { return g.Remove(ctx) })
		wantGone(t, g)
		if err := g.Remove(ctx); err != nil {
			t.Errorf("Remove again: %v", err)
		}
		if err := g.Kill(ctx); err != nil {
			t.Errorf("Kill afterwards: %v", err)
		}
	})
}

func waitPids(t *testing.T, g *Group, n int) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		pids, err := g.Pids()
		if err != nil {
			t.Fatal(err)
		}
		if len(pids) == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the group holds %v, want %d processes", pids, n)
		}
	}
}

// A group above the container's own is made and removed with it, unless another uses it.
func TestParents(t *testing.T) {
	onEach(t, "parents", func(t *testing.T, hs []Hierarchy) {
		top := pathsIn(t, "parents", hs...)
		below := func(name string) map[string]string {
			m := maps.Clone(top)
			for k := range m {
				m[k] += name
			}
			return m
		}
		a := create(t, below("/x/a"))
		b := create(t, below("/x/b"))
		if len(a.Made) != 3*len(hs) || len(b.Made) != len(hs) {
			t.Errorf("made %q and %q", a.Made, b.Made)
		}
		start(t, b, "sleep 100")
		if err := a.Remove(ctx); err != nil {
			t.Fatal(err)
		}
		for _, dir := range b.Paths {
			if !exists(dir) {
				t.Errorf("removing its neighbour removed %s", dir)
			}
		}
		if err := b.Remove(ctx); err != nil {
			t.Fatal(err)
		}
		if err := a.Remove(ctx); err != nil {
			t.Fatal(err)
		}
		wantGone(t, a)
	})
}

func TestParallel(t *testing.T) {
	hs := hierarchies(t)
	top := pathsIn(t, "parallel", hs...)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 25 {
				paths := maps.Clone(top)
				for k := range paths {
					paths[k] += "/shared/" + itoa(i)
				}
				g, err := Create(paths, Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := g.Remove(ctx); err != nil {
					t.Error(err)
					return
				}
				wantLeafGone(t, g)
			}
		})
	}
	wg.Wait()
	// Whoever made the groups above may have found them in use; then they stay, empty.
	for _, dir := range top {
		if below, err := os.ReadDir(dir + "/shared"); err == nil {
			for _, e := range below {
				if e.IsDir() {
					t.Errorf("%s/shared/%s is left", dir, e.Name())
				}
			}
		}
	}
}

func wantLeafGone(t *testing.T, g *Group) {
	for _, dir := range g.Paths {
		if exists(dir) {
			t.Errorf("%s is still there", dir)
		}
	}
}

func TestNotEmpty(t *testing.T) {
	onEach(t, "notempty", func(t *testing.T, hs []Hierarchy) {
		paths := pathsIn(t, "notempty", hs...)
		g := create(t, paths)
		start(t, g, "sleep 100 & sleep 100 & wait")
		waitPids(t, g, 3)
		_, err := Create(paths, Options{})
		var e *NotEmptyError
		if !errors.As(err, &e) || len(e.Pids) != 3 {
			t.Fatalf("Create gives %v", err)
		}
		if want := "container's cgroup is not empty: 3 process(es) found"; !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
		for _, dir := range paths {
			if !exists(dir) {
				t.Errorf("the refusal removed %s", dir)
			}
		}
		waitPids(t, g, 3)
	})
}

func TestRefusesFrozen(t *testing.T) {
	onEach(t, "frozen", func(t *testing.T, hs []Hierarchy) {
		paths := pathsIn(t, "frozen", hs...)
		g := create(t, paths)
		if err := g.Freeze(ctx); err != nil {
			t.Fatal(err)
		}
		_, err := Create(paths, Options{})
		if !errors.Is(err, ErrFrozen) || !strings.Contains(err.Error(), "container's cgroup unexpectedly frozen") {
			t.Errorf("Create gives %v", err)
		}
		below := maps.Clone(paths)
		for k := range below {
			below[k] += "/x"
		}
		if _, err = Create(below, Options{}); !errors.Is(err, ErrFrozen) {
			t.Errorf("Create below a frozen group gives %v", err)
		}
		for _, dir := range below {
			if exists(dir) {
				t.Errorf("the refusal left %s", dir)
			}
		}
		if err := g.Thaw(); err != nil {
			t.Fatal(err)
		}
		if _, err := Create(paths, Options{}); err != nil {
			t.Errorf("Create after Thaw: %v", err)
		}
	})
}

// What existed before, and is empty, is used but not removed; what is below it is.
func TestExistingGroup(t *testing.T) {
	onEach(t, "existing", func(t *testing.T, hs []Hierarchy) {
		paths := pathsIn(t, "existing", hs...)
		create(t, paths)
		g := create(t, paths)
		if len(g.Made) != 0 {
			t.Errorf("made %q", g.Made)
		}
		for _, dir := range paths {
			if err := os.Mkdir(dir+"/inner", 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Remove(ctx); err != nil {
			t.Fatal(err)
		}
		for _, dir := range paths {
			if !exists(dir) || exists(dir+"/inner") {
				t.Errorf("%s: the group exists: %v, the one in it: %v", dir, exists(dir), exists(dir+"/inner"))
			}
		}
	})
}

// Below a group that holds processes there can be groups, if without limits: it is not made
// the root of a threaded tree, which they could not live in.
func TestBelowProcesses(t *testing.T) {
	paths := pathsIn(t, "busy", v2Tree(t))
	busy := create(t, paths)
	start(t, busy, "while :; do read x || sleep 100; done")
	below := pathsIn(t, "busy", v2Tree(t))
	below[""] += "/below"
	g, err := Create(below, Options{})
	if err != nil {
		t.Fatal(err)
	}
	start(t, g, "while :; do read x || sleep 100; done")
	if kind, err := readIn(below[""], "cgroup.type"); err != nil || strings.TrimSpace(kind) != "domain" {
		t.Errorf("the group below is a %q (%v)", kind, err)
	}
	if on, err := readIn(paths[""], "cgroup.subtree_control"); err != nil || strings.TrimSpace(on) != "" {
		t.Errorf("the group with processes passes on %q (%v)", on, err)
	}
}

func TestNameOfFile(t *testing.T) {
	h := v2Tree(t)
	_, err := Create(map[string]string{"": h.Mount + "/cgroup.procs"}, Options{})
	if !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("Create gives %v", err)
	}
}

func TestCpusetIsFilled(t *testing.T) {
	for _, h := range hierarchies(t) {
		if !hasController(h.Name, "cpuset") {
			continue
		}
		paths := pathsIn(t, "cpuset", h)
		dir := paths[h.Name]
		if err := os.Mkdir(dir, 0o755); err != nil { // by somebody who does not care
			t.Fatal(err)
		}
		paths[h.Name] += "/a/b"
		g := create(t, paths)
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			want, _ := readIn(h.Mount, file)
			for d := paths[h.Name]; d != h.Mount; d = path.Dir(d) {
				if got, err := readIn(d, file); got != want || err != nil {
					t.Errorf("%s of %s is %q (%v), want %q", file, d, got, err, want)
				}
			}
		}
		if err := g.Remove(ctx); err != nil {
			t.Fatal(err)
		}
		wantGone(t, g)
		return
	}
	t.Skip("this host has no cpuset hierarchy of cgroup v1")
}

// Nothing is left if a group in the middle cannot be made.
func TestCreateUndoes(t *testing.T) {
	hs := hierarchies(t)
	paths := pathsIn(t, "undo", hs...)
	names := names(paths)
	last := names[len(names)-1]
	paths[last] = path.Dir(paths[last]) + "/cgroup.procs/x"
	g, err := Create(paths, Options{})
	if err == nil || !strings.Contains(err.Error(), "unable to apply cgroup configuration: cannot make cgroup") {
		t.Errorf("Create gives %v, %v", g, err)
	}
	delete(paths, last)
	for _, dir := range paths {
		if exists(dir) {
			t.Errorf("%s is left", dir)
		}
	}
}

func TestNoDescriptorLeaks(t *testing.T) {
	hs := append([]Hierarchy{v2Tree(t)}, hierarchies(t)...)
	paths := pathsIn(t, "leaks", hs...)
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	round := func() {
		g := create(t, paths)
		start(t, g, "sleep 100 & wait")
		_, err := Create(paths, Options{})
		if err == nil {
			t.Error("a group with processes is accepted")
		}
		if err := errors.Join(g.Freeze(ctx), g.Thaw(), g.Signal(unix.SIGCONT), g.Kill(ctx), g.Remove(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	round() // what the standard library opens once for all
	before := count()
	for range 10 {
		round()
	}
	// Each process that was started keeps a pipe and a pidfd until the test ends.
	if after := count(); after > before+2*10 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
