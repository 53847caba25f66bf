package tour

import (
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// Callers ignore and block signals; the container's program begins with neither.
func TestSignalsAreReset(t *testing.T) {
	env := need.Tool(t, "env")
	err := exec.Command(env, "--ignore-signal=TERM", "--block-signal=USR1", "true").Run()
	need.Feature(t, "env --block-signal", err == nil, "env cannot block signals")
	for _, start := range []string{"run", "create"} {
		t.Run(start, func(t *testing.T) {
			eachStance(t, func(t *testing.T, s stance) {
				// Ignored ones but for those that the runtime's own language needs.
				s.runtime.Wrap = []string{env, "--ignore-signal=HUP,INT,QUIT,TERM,PIPE,USR1,USR2,CHLD,TSTP,TTIN,TTOU", "--block-signal=TERM,USR1,ALRM,CHLD,WINCH,RTMIN"}
				b := s.bundle(t, lab.Args("/bin/busybox", "grep", "^Sig", "/proc/self/status")).Busybox()
				var out string
				if start == "run" {
					out = s.runtime.Run(b).OK().Stdout
				} else {
					c := s.runtime.Launch(b)
					c.Wait()
					out = c.Stdout()
				}
				for _, set := range []string{"SigBlk", "SigIgn", "SigPnd"} {
					if !strings.Contains(out, set+":\t0000000000000000\n") {
						t.Errorf("%s is not empty:\n%s", set, out)
					}
				}
			})
		})
	}
}

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"0", []string{"exit", "0"}, 0}, {"1", []string{"exit", "1"}, 1}, {"7", []string{"exit", "7"}, 7}, {"255", []string{"exit", "255"}, 255},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachStance(t, func(t *testing.T, s stance) {
				if got := s.runtime.Run(s.bundle(t, lab.Check(c.args...))); got.Code != c.want {
					t.Errorf("want status %d, got %v", c.want, got)
				}
				s.runtime.NothingLeft()
			})
		})
	}
}

// A program that is number 1 is not ended by its own signals, so it is ended from outside.
func TestSignalStatus(t *testing.T) {
	for name, number := range map[string]int{"KILL": 9, "TERM": 15, "SEGV": 11, "USR1": 10, "INT": 2} {
		t.Run(name, func(t *testing.T) {
			s := asRoot(t)
			// Without a pid namespace, signals without a handler act.
			b := s.bundle(t, lab.Without("pid"), lab.Args("/bin/busybox", "sh", "-c", "echo ready; exec busybox sleep 100")).Busybox()
			id := s.runtime.ID()
			run := s.runtime.Begin(s.runtime.Command("run", "--bundle", b.Dir, id))
			run.Says("ready")
			s.runtime.Do("kill", id, name).OK()
			if got := run.End(); got.Code != 128+number {
				t.Errorf("want status %d, got %v", 128+number, got)
			}
			s.runtime.NothingLeft()
		})
	}
}

// Signals to a `run` in the foreground are the container's.
func TestSignalsAreForwarded(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, lab.Check("on-signal", "7", "HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "CONT"))
		run := s.runtime.Begin(s.runtime.Command("run", "--bundle", b.Dir, s.runtime.ID()))
		run.Says("ready\n")
		for _, name := range []string{"SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGTERM"} {
			if err := run.Cmd.Process.Signal(unix.SignalNum(name)); err != nil {
				t.Fatal(err)
			}
			run.Says(name + "\n")
		}
		run.End().OK()
		s.runtime.NothingLeft()
	})
}
