package tour

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// hooked makes a bundle whose program writes into the hooks' log and stays.
func (s stance) hooked(t *testing.T) *lab.Bundle {
	t.Helper()
	b := s.bundle(t, lab.Args("/hook", lab.HookLog, "process", "say", "up", "sleep", "1000")).UseHooks()
	b.Spec.Annotations = map[string]string{"org.example.key": "a value"}
	return b
}

// ends makes the program end by itself.
func ends(c *specs.Spec) { c.Process.Args = []string{"/hook", lab.HookLog, "process"} }

func TestHookOrder(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.hooked(t)
		for _, kind := range []string{"poststop", "poststart", "startContainer", "createContainer", "createRuntime", "prestart"} {
			b.Hook(kind, kind+" 0")
			b.Hook(kind, kind+" 1")
		}
		b.Edit()
		c := s.runtime.Create(b)
		created := []string{"prestart 0", "prestart 1", "createRuntime 0", "createRuntime 1", "createContainer 0", "createContainer 1"}
		if got := b.HookLabels(); !slices.Equal(got, created) {
			t.Errorf("create runs %q, want %q", got, created)
		}
		c.Start().Says("up")
		// The program and the poststart hooks run side by side.
		got := slices.DeleteFunc(b.HookLabels()[len(created):], func(l string) bool { return l == "process" })
		if want := []string{"startContainer 0", "startContainer 1", "poststart 0", "poststart 1"}; !slices.Equal(got, want) {
			t.Errorf("start runs %q, want %q", got, want)
		}
		if i := slices.Index(b.HookLabels(), "process"); i < len(created)+2 {
			t.Errorf("the program began before the startContainer hooks had ended: %q", b.HookLabels())
		}
		n := len(b.HookLabels())
		c.Kill("KILL").OK()
		c.Wait()
		if got := b.HookLabels()[n:]; len(got) > 0 {
			t.Errorf("the end of the program runs %q", got)
		}
		c.Delete().OK()
		if got, want := b.HookLabels()[n:], []string{"poststop 0", "poststop 1"}; !slices.Equal(got, want) {
			t.Errorf("delete runs %q, want %q", got, want)
		}
		s.runtime.NothingLeft()
	})
}

// Where each kind runs, as the specification says: in the runtime's namespaces or in the
// container's; and what it is told.
func TestHookSurroundings(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.hooked(t)
		for _, kind := range lab.HookKinds() {
			h := b.Hook(kind, kind)
			h.Env = []string{"KIND=" + kind, "SPACE=a b"}
		}
		b.Edit(func(c *specs.Spec) { c.Process.Env = append(c.Process.Env, "LD_PRELOAD=/evil.so") })
		s.runtime.Env = append(s.runtime.Env, "SECRET=of-the-caller")
		c := s.runtime.Create(b)
		inner := map[string]string{}
		for _, k := range kinds() {
			inner[lab.ProcName(k)] = link(t, c.Namespace(k))
		}
		c.Start().Says("up")
		c.Kill("KILL").OK()
		c.Wait()
		c.Delete().OK()
		want := map[string]struct {
			inside bool
			status specs.ContainerState
			pid    int
			cwd    string
		}{
			"prestart":        {false, "creating", c.Pid, b.Dir},
			"createRuntime":   {false, "creating", c.Pid, b.Dir},
			"createContainer": {true, "creating", 1, b.Rootfs},
			"startContainer":  {true, "created", 1, "/"},
			"poststart":       {false, "running", c.Pid, b.Dir},
			"poststop":        {false, "stopped", 0, b.Dir},
		}
		for _, r := range b.HookRecords() {
			w, is := want[r.Label]
			if !is {
				continue
			}
			delete(want, r.Label)
			checkHookNamespaces(t, r, w.inside, inner)
			state := r.State(t)
			if state.ID != c.ID || state.Bundle != b.Dir || state.Annotations["org.example.key"] != "a value" || state.Version == "" {
				t.Errorf("%s is told %s", r.Label, r.Stdin)
			}
			if s.runtime.Ours() && (state.Status != w.status || state.Pid != w.pid) {
				t.Errorf("%s is told status %q and pid %d, want %q and %d", r.Label, state.Status, state.Pid, w.status, w.pid)
			}
			if env := []string{"KIND=" + r.Label, "SPACE=a b"}; !reflect.DeepEqual(r.Env, env) {
				t.Errorf("%s has environment %q, want %q", r.Label, r.Env, env)
			}
			if r.Cwd != w.cwd {
				t.Errorf("%s runs in %q, want %q", r.Label, r.Cwd, w.cwd)
			}
		}
		if len(want) > 0 {
			t.Errorf("hooks did not run: %v", want)
		}
	})
}

// A hook can ask for the state of the container that is being made, and so can list.
func TestStateWhileItIsMade(t *testing.T) {
	s := asRoot(t)
	b := s.hooked(t)
	file := filepath.Join(b.Dir, "said")
	ask := fmt.Sprintf(`id=$(sed 's/.*"id":"\([^"]*\)".*/\1/'); %[1]s --root %[2]s state $id >%[3]s && %[1]s --root %[2]s list >>%[3]s`, s.runtime.Path, s.runtime.Root, file)
	b.Edit(func(c *specs.Spec) {
		c.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", ask}, Env: []string{"PATH=/bin:/usr/bin"}}}}
	})
	c := s.runtime.Create(b)
	said, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(bytes.NewReader(said))
	var state specs.State
	if err := answers.Decode(&state); err != nil || state.ID != c.ID || state.Status != "creating" || state.Bundle != b.Dir || state.Annotations["org.example.key"] != "a value" {
		t.Errorf("state says %s (%v)", said, err)
	}
	if list, _ := io.ReadAll(answers.Buffered()); !regexp.MustCompile(c.ID + ` +\d+ +creating `).Match(list) {
		t.Errorf("list says %s", list)
	}
}

func checkHookNamespaces(t *testing.T, r lab.HookRecord, inside bool, inner map[string]string) {
	t.Helper()
	for _, k := range kinds() {
		name := lab.ProcName(k)
		want, where := lab.HostNamespace(k), "the host's"
		if inside {
			want, where = inner[name], "the container's"
		}
		if got := r.Namespaces[name]; got != want {
			t.Errorf("%s is in %s, want %s, %s", r.Label, got, where, want)
		}
	}
}

// Without env in its entry a hook's environment is empty, whatever the caller has.
func TestHookWithoutEnvironment(t *testing.T) {
	s := asRoot(t)
	b := s.hooked(t)
	for _, kind := range lab.HookKinds() {
		b.Hook(kind, kind)
	}
	b.Edit(ends)
	s.runtime.Env = append(s.runtime.Env, "SECRET=of-the-caller")
	s.runtime.Run(b).OK()
	for _, r := range b.HookRecords() {
		if r.Label != "process" && len(r.Env) > 0 {
			t.Errorf("%s has environment %q, want none", r.Label, r.Env)
		}
	}
}

func TestHookFailsCreate(t *testing.T) {
	for _, kind := range []string{"prestart", "createRuntime", "createContainer"} {
		for _, command := range []string{"create", "run"} {
			t.Run(kind+"/"+command, func(t *testing.T) {
				eachStance(t, func(t *testing.T, s stance) {
					b := s.hooked(t)
					b.Hook(kind, "first")
					b.Hook(kind, "second", "say", "some output", "complain", "boom", "exit", "3")
					b.Hook(kind, "never")
					b.Hook("startContainer", "never")
					b.Hook("poststart", "never")
					b.Hook("poststop", "poststop")
					b.Edit()
					s.runtime.Fails([]string{command, "--bundle", b.Dir, s.runtime.ID()}, hookWords(s, kind, 1, "exit status 3", "boom")...)
					if got, want := b.HookLabels(), []string{"first", "second", "poststop"}; s.runtime.Ours() && !slices.Equal(got, want) {
						t.Errorf("%q ran, want %q", got, want)
					}
				})
			})
		}
	}
}

// hookWords is what an error must say if the runtime is ours.
func hookWords(s stance, kind string, index int, more ...string) []string {
	if !s.runtime.Ours() {
		return nil
	}
	return append([]string{fmt.Sprintf("error running %s hook #%d:", kind, index)}, more...)
}

func TestHookFailsStart(t *testing.T) {
	for _, kind := range []string{"startContainer", "poststart"} {
		t.Run(kind, func(t *testing.T) {
			eachStance(t, func(t *testing.T, s stance) {
				b := s.hooked(t)
				b.Hook(kind, "bad", "complain", "boom", "exit", "4")
				b.Hook(kind, "never")
				b.Hook("poststop", "poststop")
				b.Edit()
				words := hookWords(s, kind, 0, "exit status 4", "boom")
				s.runtime.Fails([]string{"run", "--bundle", b.Dir, s.runtime.ID()}, words...)
				got := slices.DeleteFunc(b.HookLabels(), func(l string) bool { return l == "process" && kind == "poststart" })
				if want := []string{"bad", "poststop"}; s.runtime.Ours() && !slices.Equal(got, want) {
					t.Errorf("run runs %q, want %q", got, want)
				}
				c := s.runtime.Create(b)
				s.runtime.Do("start", c.ID).Failed(words...)
				if state := c.State(); s.runtime.Ours() && state.Status != specs.StateStopped {
					t.Errorf("the container is %s, want it stopped", state.Status)
				}
				c.Delete().OK()
				s.runtime.NothingLeft()
			})
		})
	}
}

// All poststop hooks run, and their failures are only warnings.
func TestHookFailsDelete(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.hooked(t)
		b.Hook("poststop", "first", "complain", "boom", "exit", "5")
		b.Hook("poststop", "second")
		b.Edit(ends)
		c := s.runtime.Launch(b)
		if code := c.Wait(); code != 0 {
			t.Fatalf("the program ends with %d: %s", code, c.Stderr())
		}
		r := c.Delete()
		if s.runtime.Ours() {
			r.OK()
			for _, w := range hookWords(s, "poststop", 0, "level=warning", "boom") {
				if !strings.Contains(r.Stderr, w) {
					t.Errorf("the warning does not say %q: %s", w, r.Stderr)
				}
			}
		}
		if got, want := b.HookLabels(), []string{"process", "first", "second"}; !slices.Equal(got, want) {
			t.Errorf("%q ran, want %q", got, want)
		}
		s.runtime.NothingLeft()
	})
}

func TestHookTimeout(t *testing.T) {
	for _, kind := range lab.HookKinds() {
		t.Run(kind, func(t *testing.T) {
			eachStance(t, func(t *testing.T, s stance) {
				b := s.hooked(t)
				one := 1
				// Neither SIGTERM nor a child that keeps its output open prolongs it.
				b.Hook(kind, "slow", "deaf", "linger", "sleep", "60").Timeout = &one
				b.Edit(ends)
				began := time.Now()
				args := []string{"run", "--bundle", b.Dir, s.runtime.ID()}
				if kind == "poststop" {
					r := s.runtime.Do(args...).OK()
					if s.runtime.Ours() && !strings.Contains(r.Stderr, "hook ran past specified timeout of 1.0s") {
						t.Errorf("the warning is %q", r.Stderr)
					}
				} else {
					s.runtime.Fails(args, hookWords(s, kind, 0, "hook ran past specified timeout of 1.0s")...)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("a hook with a timeout of a second took %v", took)
				}
			})
		})
	}
}

// A hook that misbehaves without failing does not stop anything.
func TestHookMisbehaves(t *testing.T) {
	for _, kind := range lab.HookKinds() {
		t.Run(kind, func(t *testing.T) {
			s := asRoot(t)
			b := s.hooked(t)
			b.Hook(kind, "noisy", "flood", "linger")
			b.Edit(ends)
			began := time.Now()
			s.runtime.Run(b).OK()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("a hook with a child that keeps its output open took %v", took)
			}
			killLingering(t)
		})
	}
}

// A hook that cannot be started fails as one that fails, or earlier; in the container only
// when its turn has come. With a poststop hook that is a warning.
func TestHookThatCannotStart(t *testing.T) {
	for _, kind := range lab.HookKinds() {
		for path, cause := range map[string]string{"/no/such/hook": "no such file or directory", "/etc": "is a directory"} {
			t.Run(kind+path, func(t *testing.T) {
				s := asRoot(t)
				b := s.hooked(t)
				b.Hook(kind, "x").Path = path
				b.Edit(ends)
				words := []string{}
				if kind == "startContainer" {
					cause = strings.Replace(cause, "is a directory", "permission denied", 1)
				}
				if s.runtime.Ours() {
					words = append(words, kind, cause)
				}
				run := []string{"run", "--bundle", b.Dir, s.runtime.ID()}
				if kind != "poststop" {
					s.runtime.Fails(run, words...)
				} else if r := s.runtime.Do(run...).OK(); s.runtime.Ours() && !strings.Contains(r.Stderr, cause) {
					t.Errorf("the warning is %q, want one with %q", r.Stderr, cause)
				}
			})
		}
	}
}
