package tour

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// slow adds a hook that stays for longer than any test does.
func slow(b *lab.Bundle, kind string, deeds ...string) {
	b.Hook(kind, "slow", append(deeds, "sleep", "300")...)
}

// interrupt sends a command a signal when the slow hook runs, and waits for its end.
func interrupt(t *testing.T, r *lab.Runtime, b *lab.Bundle, sig unix.Signal, args ...string) lab.Result {
	t.Helper()
	t.Cleanup(func() { // before the runtime's own, which would find it
		for _, pid := range slowHooks() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
	before := len(b.HookLabels())
	run := r.Begin(r.Command(args...))
	if !lab.Eventually(func() bool { return slices.Contains(b.HookLabels()[before:], "slow") }) {
		t.Fatalf("%q runs no hook", args)
	}
	if err := run.Cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	return run.End()
}

// slowHooks are those that live without a runtime, and so are our children.
func slowHooks() []int {
	return slices.DeleteFunc(lab.Children(), func(pid int) bool {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return !strings.Contains(string(cmdline), "\x00slow\x00") && !strings.Contains(string(cmdline), "child\x00sleep\x0010")
	})
}

// A signal to the runtime ends the hook that it waits for, and all that this has started:
// nothing is left of the container then.
func TestHookIsInterruptedInCreate(t *testing.T) {
	for _, kind := range []string{"prestart", "createRuntime", "createContainer"} {
		for name, args := range map[string][]string{"create": {"create"}, "run": {"run"}, "detach": {"run", "--detach"}} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				eachStance(t, func(t *testing.T, s stance) {
					onlyOurs(t, s)
					interruptCreate(t, s, kind, unix.SIGTERM, args...)
				})
			})
		}
	}
}

// In start, a hook that is interrupted has failed: the container is stopped.
func TestHookIsInterruptedInStart(t *testing.T) {
	for _, kind := range []string{"startContainer", "poststart"} {
		t.Run(kind, func(t *testing.T) {
			eachStance(t, func(t *testing.T, s stance) {
				onlyOurs(t, s)
				b := s.hooked(t)
				slow(b, kind, "deaf", "linger")
				b.Hook(kind, "never")
				b.Hook("poststop", "poststop")
				b.Edit()
				c := s.runtime.Create(b)
				if res := interrupt(t, s.runtime, b, unix.SIGTERM, "start", c.ID); res.Code != 128+int(unix.SIGTERM) || res.Stderr != "" {
					t.Errorf("want an end by SIGTERM without a word, got %v", res)
				}
				if state := c.State(); state.Status != specs.StateStopped {
					t.Errorf("the container is %s, want it stopped", state.Status)
				}
				c.Delete().OK()
				s.runtime.NothingLeft()
				res := interrupt(t, s.runtime, b, unix.SIGTERM, "run", "--detach", "--bundle", b.Dir, s.runtime.ID())
				if res.Code != 128+int(unix.SIGTERM) || res.Stderr != "" {
					t.Errorf("want an end by SIGTERM without a word, got %v", res)
				}
				s.runtime.NothingLeft()
			})
		})
	}
}

// The other signals by which callers end a runtime do the same; and what the hook would have
// done later does not happen.
func TestSignalsThatInterruptHooks(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGHUP} {
		// What is ignored here, as by nohup, is ignored by the runtime, too; what is caught is not.
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, sig)
		defer signal.Stop(caught)
		for _, command := range []string{"create", "run"} {
			t.Run(unix.SignalName(sig)+"/"+command, func(t *testing.T) {
				s := asRoot(t)
				onlyOurs(t, s)
				b := s.hooked(t)
				b.Hook("createRuntime", "slow", "sleep", "1.5", "note", "late")
				b.Edit()
				began := time.Now()
				if res := interrupt(t, s.runtime, b, sig, command, "--bundle", b.Dir, s.runtime.ID()); res.Code != 128+int(sig) {
					t.Errorf("want an end by %v, got %v", sig, res)
				}
				s.runtime.NothingLeft()
				time.Sleep(time.Until(began.Add(2 * time.Second)))
				if got := b.HookLabels(); slices.Contains(got, "late") {
					t.Errorf("the hook has gone on: %q", got)
				}
			})
		}
	}
}

// onlyOurs skips what other runtimes do not do.
func onlyOurs(t *testing.T, s stance) {
	t.Helper()
	need.Feature(t, "hooks that end with the runtime", s.runtime.Ours(), "other runtimes leave them behind")
}

// Where the container has no pid namespace, or another one's, the hook dies no other way.
func TestHookIsInterruptedInOtherPidNamespaces(t *testing.T) {
	for _, kind := range []string{"createRuntime", "createContainer"} {
		t.Run(kind+"/host", func(t *testing.T) {
			s := asRoot(t)
			onlyOurs(t, s)
			s.edit = lab.Without(specs.PIDNamespace)
			interruptCreate(t, s, kind, unix.SIGTERM, "create")
		})
		t.Run(kind+"/joined", func(t *testing.T) {
			need.Root(t)
			c := lab.New(t).Create(lab.NewBundle(t, lab.Check("sleep", "forever")))
			s := asRoot(t) // it finds the other one there
			onlyOurs(t, s)
			s.edit = lab.Namespace(specs.PIDNamespace, c.Namespace(specs.PIDNamespace))
			interruptCreate(t, s, kind, unix.SIGTERM, "create")
			c.Delete().OK()
		})
	}
}

func interruptCreate(t *testing.T, s stance, kind string, sig unix.Signal, args ...string) {
	t.Helper()
	b := s.hooked(t)
	b.Hook(kind, "first")
	slow(b, kind, "deaf", "linger")
	for _, k := range []string{kind, "startContainer", "poststart"} {
		b.Hook(k, "never")
	}
	b.Hook("poststop", "poststop")
	b.Edit()
	res := interrupt(t, s.runtime, b, sig, append(args, "--bundle", b.Dir, s.runtime.ID())...)
	if res.Code != 128+int(sig) || res.Stdout+res.Stderr != "" {
		t.Errorf("want an end by %v without a word, got %v", sig, res)
	}
	s.runtime.NothingLeft()
	if got, want := b.HookLabels(), []string{"first", "slow", "poststop"}; !slices.Equal(slices.DeleteFunc(got, isChild), want) {
		t.Errorf("%q ran, want %q", got, want)
	}
}

// isChild holds for the label of what a lingering hook leaves behind.
func isChild(label string) bool { return label == "child" }

// A runtime that is killed cannot end anything; its hook is ended by the kernel.
func TestHookEndsWithAKilledRuntime(t *testing.T) {
	for _, kind := range []string{"prestart", "createRuntime", "createContainer"} {
		for _, command := range []string{"create", "run"} {
			t.Run(kind+"/"+command, func(t *testing.T) {
				eachStance(t, func(t *testing.T, s stance) {
					onlyOurs(t, s)
					b := s.hooked(t)
					slow(b, kind, "deaf")
					b.Edit()
					id := s.runtime.ID()
					res := interrupt(t, s.runtime, b, unix.SIGKILL, command, "--bundle", b.Dir, id)
					if res.Code != 128+int(unix.SIGKILL) {
						t.Errorf("got %v", res)
					}
					for end := time.Now().Add(10 * time.Second); len(slowHooks()) > 0; time.Sleep(2 * time.Millisecond) {
						if time.Now().After(end) {
							t.Fatalf("the hook lives: %v", slowHooks())
						}
					}
					s.runtime.Do("delete", "--force", id).OK()
				})
			})
		}
	}
}
