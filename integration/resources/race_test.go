package resources

import (
	"strings"
	"sync"
	"testing"
)

// Whatever is done to a container at the same time, each command either does its work or says
// that the container is not in a state for it, and what deletes it leaves nothing.
func TestRaceOfControl(t *testing.T) {
	r := onBench(t)
	b := shell(t, ticker)
	state := []string{"container not running", "container not paused", "does not exist", "is not running", "no such file", "no such device", "nosuchunit", "it is gone"}
	if ordinary() {
		// The record does not tell whether a group has gone, or could not be had from the start.
		state = append(state, "no cgroup of its own")
	}
	for range rounds(12) {
		c := r.Launch(b)
		var wg sync.WaitGroup
		for _, args := range [][]string{
			{"pause", c.ID},
			{"resume", c.ID},
			{"pause", c.ID},
			{"update", "--pids-limit", "99", c.ID},
			{"update", "--cpu-share", "99", c.ID},
			{"events", "--stats", c.ID},
			{"kill", c.ID, "KILL"},
			{"delete", "--force", c.ID},
			{"state", c.ID},
			{"ps", "--format", "json", c.ID},
		} {
			wg.Go(func() {
				res := r.Do(args...)
				if res.Code == 0 {
					return
				}
				for _, words := range state {
					if strings.Contains(strings.ToLower(res.Stderr), strings.ToLower(words)) {
						return
					}
				}
				t.Errorf("%v", res)
			})
		}
		wg.Wait()
		r.Do("delete", "--force", c.ID).OK()
		r.NothingLeft()
	}
}
