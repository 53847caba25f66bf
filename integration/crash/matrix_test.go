package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// all reports whether every point is to be visited.
func all() bool { return os.Getenv("OCIRT_CRASH") == "all" }

// An arena is a place where one container id is made, hit and deleted again and again.
type arena struct {
	t       *testing.T
	r       *lab.Runtime
	b       *lab.Bundle
	id      string
	pidFile string
	out     *os.File // standard output and error of traced commands
	own     []int    // children that are the test's
	mounts  string
	groups  []string // the cgroups of the container

	mu       sync.Mutex
	commands map[int]bool // that somebody waits for
}

func newArena(t *testing.T, edits ...lab.Edit) *arena {
	t.Helper()
	r := lab.New(t)
	a := &arena{t: t, r: r, id: r.ID(), commands: map[int]bool{}}
	a.b = lab.NewBundle(t, append([]lab.Edit{lab.Check("sleep", "forever")}, edits...)...)
	a.pidFile = filepath.Join(a.b.Dir, "pid")
	out, err := os.CreateTemp(a.b.Dir, "out")
	if err != nil {
		t.Fatal(err)
	}
	a.out = out
	t.Cleanup(func() { out.Close() })
	a.own = children()
	a.mounts = read("/proc/self/mountinfo")
	a.r.Do("create", "--bundle", a.b.Dir, a.id).OK()
	a.groups = groupsOf(a.id)
	a.r.Do("delete", "--force", a.id).OK()
	if left := a.left(); len(left) > 0 {
		t.Fatalf("a plain create and delete --force leave %q", left)
	}
	return a
}

func read(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

// groupsOf finds the cgroups that are named after a container.
func groupsOf(id string) []string {
	var found []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), id) {
			found = append(found, path)
		}
		return nil //nolint:nilerr // groups of others come and go
	})
	return found
}

// An operation is a command that is hit, and what comes before it.
type operation struct {
	before [][]string // commands; the id is added, or put in the place of ID
	args   []string   // the command, likewise
	roles  []string   // that can be hit
	edits  []lab.Edit
}

// prepare does what comes before.
func (a *arena) prepare(o operation) {
	a.t.Helper()
	for _, args := range o.before {
		a.r.Do(a.expand(args)...).OK()
	}
}

// expand puts flags behind create and run, and the id in its place or at the end.
func (a *arena) expand(args []string) []string {
	if args[0] == "create" || args[0] == "run" {
		args = append([]string{args[0], "--bundle", a.b.Dir, "--pid-file", a.pidFile}, args[1:]...)
	}
	args = slices.Clone(args)
	if i := slices.Index(args, "ID"); i >= 0 {
		args[i] = a.id
		return args
	}
	return append(args, a.id)
}

// hit runs the command with a blow.
func (a *arena) hit(o operation, b blow) traced {
	a.t.Helper()
	a.prepare(o)
	_ = a.out.Truncate(0)
	_, _ = a.out.Seek(0, 0)
	cmd := a.r.Command(a.expand(o.args)...)
	cmd.Stdout, cmd.Stderr = a.out, a.out
	defer a.reaping()()
	res, err := trace(cmd, a.start, b, lab.Patience/2)
	if err != nil {
		a.t.Fatalf("%v: %v", b, err)
	}
	a.ended(cmd)
	_ = cmd.Process.Release()
	return res
}

// said is what the command wrote.
func (a *arena) said() string { return read(a.out.Name()) }

// points are the numbers to visit: 1 to n, or about most of them.
func points(n, most int) []int {
	stride := 1
	if !all() && n > most {
		stride = (n + most - 1) / most
	}
	var list []int
	for i := 1 + rand.IntN(stride); i <= n; i += stride {
		list = append(list, i)
	}
	return list
}

// maxWrong is how many points of one matrix are reported before it is given up.
const maxWrong = 10

// killEverywhere kills each role of a command at each of its stops.
func killEverywhere(t *testing.T, o operation, most int) {
	a := newArena(t, o.edits...)
	whole := a.hit(o, blow{})
	if wrong := a.settle(); len(wrong) > 0 {
		t.Fatalf("without a blow: %q\n%s", wrong, a.said())
	}
	for _, role := range o.roles {
		n := whole.stops[role]
		if n == 0 {
			t.Fatalf("no calls of %s: %v\n%s", role, whole.stops, a.said())
		}
		if all() {
			n += n / 10 // threads are not as regular as that
		}
		struck, clean, wrong := 0, 0, 0
		begin := time.Now()
		for _, at := range points(n, most) {
			b := blow{role: role, at: at}
			res := a.hit(o, b)
			if !res.struck {
				_ = a.settle()
				continue
			}
			struck++
			problems := a.settle()
			if res.hung {
				problems = append(problems, "the command hangs")
			}
			if struck%16 == 0 {
				problems = append(problems, a.again()...)
			}
			if len(problems) == 0 {
				clean++
				continue
			}
			t.Errorf("%v (call %d): %s\nthe command said: %s", b, res.call, strings.Join(problems, "\n  "), a.said())
			a.sweep()
			if wrong++; wrong >= maxWrong {
				break
			}
		}
		fmt.Fprintf(t.Output(), "%s: %d points of %d, %d clean, %v each\n", role, struck, whole.stops[role], clean, (time.Since(begin) / time.Duration(max(struck, 1))).Round(time.Millisecond/10))
	}
}

// again makes the same id once more.
func (a *arena) again() []string {
	if res := a.do("create", "--bundle", a.b.Dir, a.id); res.Code != 0 {
		return []string{"again: " + res.String()}
	}
	if res := a.do("delete", "--force", a.id); res.Code != 0 {
		return []string{"again: " + res.String()}
	}
	return a.left()
}
