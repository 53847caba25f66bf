package crash

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// rounds is how often a race is run.
func rounds() int {
	if all() {
		return 200
	}
	return 15
}

// An entrant is a command of a race, and with which words it may fail.
type entrant struct {
	args []string
	may  []string
}

// The words of losing.
const (
	isGone    = "container does not exist"
	isTaken   = "container with given ID already exists"
	isRunning = "cannot start an already running container"
	isStopped = "cannot start a container that has stopped"
	notRuns   = "container not running"
)

func times(n int, e entrant) []entrant {
	list := make([]entrant, n)
	for i := range list {
		list[i] = e
	}
	return list
}

// race lets commands run at once, again and again. won is how many must succeed; -1: any
// number.
func race(t *testing.T, before [][]string, entrants []entrant, won int, edits ...lab.Edit) {
	need.Root(t)
	t.Helper()
	a := newArena(t, edits...)
	for round := range rounds() {
		a.prepare(operation{before: before})
		results := a.together(entrants)
		winners, wrong := 0, []string(nil)
		for i, res := range results {
			if res.Code == 0 {
				winners++
			} else if res.Code != 1 || !says(res, entrants[i].may) {
				wrong = append(wrong, res.String())
			}
		}
		if won >= 0 && winners != won {
			wrong = append(wrong, fmt.Sprintf("%d commands succeeded, not %d: %v", winners, won, results))
		}
		if wrong = append(wrong, a.settle()...); len(wrong) > 0 {
			a.sweep()
			t.Fatalf("round %d: %s", round, strings.Join(wrong, "\n  "))
		}
	}
	fmt.Fprintf(t.Output(), "%d rounds\n", rounds())
}

func says(res lab.Result, words []string) bool {
	for _, w := range words {
		if strings.Contains(res.Stderr, w) {
			return true
		}
	}
	return false
}

// together runs commands at once, each after up to some milliseconds.
func (a *arena) together(entrants []entrant) []lab.Result {
	defer a.reaping()()
	results := make([]lab.Result, len(entrants))
	var wg sync.WaitGroup
	for i, e := range entrants {
		delay := time.Duration(rand.IntN(4000)) * time.Microsecond
		wg.Go(func() {
			time.Sleep(delay)
			results[i] = a.do(a.expand(e.args)...)
		})
	}
	wg.Wait()
	return results
}

func words(args ...string) []string { return args }

func TestRaceCreate(t *testing.T) {
	race(t, nil, times(16, entrant{words("create"), words(isTaken)}), 1)
}

func TestRaceStart(t *testing.T) {
	race(t, [][]string{{"create"}}, times(4, entrant{words("start"), words(isRunning)}), 1)
}

func TestRaceDelete(t *testing.T) {
	race(t, [][]string{{"create"}}, times(4, entrant{words("delete"), words(isGone)}), 1)
}

func TestRaceForcedDelete(t *testing.T) {
	race(t, [][]string{{"create"}, {"start"}}, times(4, entrant{args: words("delete", "--force")}), 4)
}

func TestRaceForcedDeleteSharedPids(t *testing.T) {
	race(t, [][]string{{"create"}, {"start"}}, times(4, entrant{args: words("delete", "--force")}), 4, lab.Without(specs.PIDNamespace))
}

func TestRaceKillDelete(t *testing.T) {
	race(t, [][]string{{"create"}, {"start"}}, []entrant{
		{words("kill", "ID", "KILL"), words(isGone, notRuns)},
		{args: words("delete", "--force")},
		{words("kill", "--all", "ID", "KILL"), words(isGone)},
		{words("kill", "ID", "TERM"), words(isGone, notRuns)},
	}, -1)
}

func TestRaceStartDelete(t *testing.T) {
	race(t, [][]string{{"create"}}, []entrant{
		{words("start"), words(isGone, isStopped)}, {args: words("delete", "--force")},
	}, -1)
	race(t, [][]string{{"create"}}, []entrant{
		{words("start"), words(isGone, isStopped)}, {words("delete"), words("is not stopped")},
	}, 1)
}

// A process that is dying has closed its socket and is not dead yet: for start it runs.
func TestRaceStartKill(t *testing.T) {
	race(t, [][]string{{"create"}}, []entrant{
		{words("start"), words(isStopped, isRunning, "cannot reach init", "cannot hear init", "cannot speak to init")},
		{words("kill", "ID", "KILL"), words(notRuns)},
	}, -1)
}

func TestRaceCreateDelete(t *testing.T) {
	race(t, nil, []entrant{
		{words("create"), words("deleted meanwhile")}, {args: words("delete", "--force")}, {words("delete"), words(isGone)},
	}, -1)
}

// Everybody at once: nobody may say anything but these words, and readers never fail.
func TestRaceEverything(t *testing.T) {
	life := []string{isGone, isTaken, isRunning, isStopped, notRuns, "is not stopped", "deleted meanwhile", "cannot reach init", "cannot hear init", "cannot speak to init", "cannot start a container that is creating"}
	race(t, nil, []entrant{
		{words("create"), life},
		{words("create"), life},
		{words("start"), life},
		{words("start"), life},
		{words("kill", "ID", "KILL"), life},
		{words("delete"), life},
		{args: words("delete", "--force")},
		{words("state"), words(isGone)},
		{words("state"), words(isGone)},
		{words("ps"), words(isGone)},
	}, -1)
}

// A reader that looks all the time sees a container in one of its statuses, or none.
func TestRaceReaders(t *testing.T) {
	need.Root(t)
	a := newArena(t)
	stop, done := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if res := a.r.Do("list"); res.Code != 0 || res.Stderr != "" {
				done <- res.String()
				return
			}
			if res := a.r.Do("state", a.id); res.Code != 0 && !strings.Contains(res.Stderr, isGone) {
				done <- res.String()
				return
			}
		}
	}()
	for range rounds() {
		a.prepare(operation{before: [][]string{{"create"}, {"start"}, {"kill", "ID", "KILL"}, {"delete", "--force"}}})
	}
	close(stop)
	if wrong := <-done; wrong != "" {
		t.Error(wrong)
	}
	if left := a.left(); len(left) > 0 {
		t.Error(left)
	}
}
