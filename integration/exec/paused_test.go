package exec

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func TestPaused(t *testing.T) {
	s := asRoot(t)
	c := s.launch(t)
	s.r.Do("pause", c.ID).OK()
	fails(t, s.exec(c, nil, "/inside", "pid"), "cannot exec in a paused container (use --ignore-paused to override)")
	run := s.r.Begin(s.r.Command("exec", "--ignore-paused", c.ID, "/inside", "echo", "thawed"))
	time.Sleep(200 * time.Millisecond)
	s.r.Do("resume", c.ID).OK()
	if r := run.End().OK(); r.Stdout != "thawed\n" {
		t.Errorf("%v", r)
	}
}

// An exec that is killed while the container is paused is over: its process does not go on
// when the container does.
func TestKilledWhilePaused(t *testing.T) {
	s := asRoot(t)
	c := s.launch(t)
	s.r.Do("pause", c.ID).OK()
	before := len(lab.Children())
	for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGTERM} {
		run := s.r.Begin(s.r.Command("exec", "--ignore-paused", "-d", c.ID, "/inside", "touch", "/tmp/ran"))
		time.Sleep(200 * time.Millisecond)
		must(t, unix.Kill(run.Cmd.Process.Pid, sig))
		if r := run.End(); r.Code == 0 {
			t.Errorf("%v", r)
		}
	}
	s.r.Do("resume", c.ID).OK()
	lab.Eventually(func() bool {
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if err != nil || pid == 0 {
				return len(lab.Children()) <= before
			}
		}
	})
	if r := s.exec(c, nil, "/inside", "stat", "/tmp/ran"); r.Code == 0 {
		t.Error("the command was executed after all")
	}
	if n := len(lab.Children()); n != before {
		t.Errorf("%d processes are left, %d were there", n, before)
	}
}

// A thousand execs, eight at a time, while the container is paused and resumed all the time:
// each does what it was asked to, or says that the container is paused.
func TestThousand(t *testing.T) {
	count := 1000
	if testing.Short() {
		count = 100
	}
	s := asRoot(t)
	c := s.launch(t)
	s.exec(c, nil, "/inside", "pid").OK()
	before := len(lab.Children())
	stop := make(chan struct{})
	var pausing sync.WaitGroup
	pausing.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
			}
			for _, what := range []string{"pause", "resume"} {
				if out, err := s.r.Command(what, c.ID).CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s", what, err, out)
				}
			}
		}
	})
	var done, refused atomic.Int64
	work := make(chan int)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for n := range work {
				for !once(t, s, c, n) {
					refused.Add(1)
				}
				done.Add(1)
			}
		})
	}
	for n := range count {
		work <- n
	}
	close(work)
	workers.Wait()
	close(stop)
	pausing.Wait()
	t.Logf("%d done, %d times the container was paused", done.Load(), refused.Load())
	if got := strings.Fields(s.exec(c, nil, "/inside", "pids").OK().Stdout); len(got) != 2 {
		t.Errorf("processes %v are left in the container", got)
	}
	if n := len(lab.Children()); n != before {
		t.Errorf("%d processes are left, %d were there", n, before)
	}
}

// once executes a command with a status of its own; it is false if the container was paused.
func once(t *testing.T, s stance, c *lab.Container, n int) bool {
	cmd := s.r.Command("exec", c.ID, "/inside", "echo", fmt.Sprint(n), "--", "exit", fmt.Sprint(n%100))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Error(err)
	}
	if code == 255 && strings.Contains(errs.String(), "cannot exec in a paused container") {
		time.Sleep(time.Millisecond)
		return false
	}
	if code != n%100 || string(out) != fmt.Sprintf("%d\n", n) || errs.Len() > 0 {
		t.Errorf("exec %d: status %d, %q, %q", n, code, out, errs.String())
	}
	return true
}
