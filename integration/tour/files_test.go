package tour

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// What a caller leaves open or closed: each of the eight combinations of closed standard
// descriptors, and others that it forgot to mark close-on-exec. The container has 0 to 2,
// with something harmless in place of what was closed, and no others.
func TestClosedStandardDescriptors(t *testing.T) {
	for closed := range 8 {
		if testing.Short() && closed != 0 && closed != 7 {
			continue
		}
		for _, start := range []string{"run", "run --detach", "create"} {
			t.Run(fmt.Sprintf("%03b/%s", closed, start), func(t *testing.T) {
				eachStance(t, func(t *testing.T, s stance) {
					b := s.bundle(t, lab.Args("/bin/busybox", "sleep", "1000")).Busybox()
					s.runtime.Wrap = careless(closed)
					checkStandardFiles(t, launched(t, s, b, start), closed)
				})
			})
		}
	}
}

// careless is a shell that closes some of 0 to 2, opens others on places of the host, and
// executes what follows.
func careless(closed int) []string {
	script := `exec 5</ 6</etc/passwd 7>/dev/full 9</sys/fs/cgroup; exec "$@"`
	for fd := range 3 {
		if closed&(1<<fd) != 0 {
			script += fmt.Sprintf(" %d>&-", fd)
		}
	}
	return []string{"sh", "-c", script, "sh"}
}

// launched starts a container on one of three roads and returns its pid.
func launched(t *testing.T, s stance, b *lab.Bundle, start string) int {
	t.Helper()
	id := s.runtime.ID()
	switch start {
	case "run":
		run := s.runtime.Begin(s.runtime.Command("run", "--bundle", b.Dir, id))
		t.Cleanup(func() {
			s.runtime.Wrap = nil
			s.runtime.Do("kill", id, "KILL")
			run.End()
		})
	case "run --detach":
		s.runtime.Do("run", "--detach", "--bundle", b.Dir, id).OK()
	case "create":
		s.runtime.Do("create", "--bundle", b.Dir, id).OK()
		s.runtime.Do("start", id).OK()
	}
	s.runtime.Wrap = nil
	pid := 0
	if !lab.Eventually(func() bool {
		pid = s.runtime.PidOf(id)
		exe, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return strings.HasPrefix(string(exe), "/bin/busybox\x00")
	}) {
		t.Fatalf("container %s never runs", id)
	}
	return pid
}

func checkStandardFiles(t *testing.T, pid, closed int) {
	t.Helper()
	files := descriptors(t, pid)
	for fd := range 3 {
		name := strconv.Itoa(fd)
		to, open := files[name]
		switch {
		case !open:
			t.Errorf("descriptor %d is closed", fd)
		case closed&(1<<fd) != 0 && to != "/dev/null":
			t.Errorf("descriptor %d was closed and is %s, want /dev/null", fd, to)
		case closed&(1<<fd) == 0 && to == "/dev/null" && fd > 0:
			t.Errorf("descriptor %d was given, and is /dev/null", fd)
		}
		delete(files, name)
	}
	if len(files) > 0 {
		t.Errorf("the container has %v beside 0 to 2", files)
	}
}

func descriptors(t *testing.T, pid int) map[string]string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, e := range entries {
		m[e.Name()] = link(t, filepath.Join(dir, e.Name()))
	}
	return m
}

// Descriptors that are asked for are passed on under their numbers, and the next is not.
func TestPreservedDescriptors(t *testing.T) {
	for _, start := range []string{"run", "create"} {
		for _, preserve := range []int{0, 1, 2} {
			t.Run(fmt.Sprintf("%s/%d", start, preserve), func(t *testing.T) {
				eachStance(t, func(t *testing.T, s stance) {
					b := s.bundle(t, lab.Args("/bin/busybox", "sleep", "1000")).Busybox()
					var extra []*os.File
					want := map[string]string{}
					for i := range 3 {
						path := filepath.Join(lab.Dir(t), "extra")
						write(t, path, "x")
						f, err := os.Open(path)
						if err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() { f.Close() })
						extra = append(extra, f)
						if i < preserve {
							want[strconv.Itoa(3+i)] = path
						}
					}
					id := s.runtime.ID()
					args := []string{start, "--preserve-fds", strconv.Itoa(preserve), "--bundle", b.Dir}
					if start == "run" {
						args = append(args, "--detach")
					}
					cmd := s.runtime.Command(append(args, id)...)
					cmd.ExtraFiles = extra
					s.runtime.Finish(cmd).OK()
					if start == "create" {
						s.runtime.Do("start", id).OK()
					}
					got := descriptors(t, s.runtime.PidOf(id))
					for _, std := range []string{"0", "1", "2"} {
						delete(got, std)
					}
					if !maps.Equal(got, want) {
						t.Errorf("descriptors from 3 are %v, want %v", got, want)
					}
				})
			})
		}
	}
}

// Socket activation: the process is told of the sockets under its own pid.
func TestListenDescriptors(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, lab.Check("env", "LISTEN_FDS", "--", "env", "LISTEN_PID", "--", "link", "/proc/self/fd/3"))
		s.runtime.Wrap = []string{"sh", "-c", `exec 3</etc/passwd 4</; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh"}
		if out, want := s.runtime.Run(b).OK().Stdout, "1\n1\n"; !strings.HasPrefix(out, want) {
			t.Errorf("LISTEN_FDS and LISTEN_PID are %q, want %q", out, want)
		}
	})
}

func TestMissingPreservedDescriptor(t *testing.T) {
	s := asRoot(t)
	b := s.bundle(t)
	words := []string{}
	if s.runtime.Ours() {
		words = append(words, "--preserve-fds")
	}
	s.runtime.Fails([]string{"run", "--preserve-fds", "2", "--bundle", b.Dir, s.runtime.ID()}, words...)
}

// Standard input reaches the program, output and errors come from it, each by its own way.
func TestStandardStreams(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, lab.Check("copy", "--", "complain", "to errors"))
		cmd := s.runtime.Command("run", "--bundle", b.Dir, s.runtime.ID())
		cmd.Stdin = strings.NewReader("from input\n")
		r := s.runtime.Finish(cmd).OK()
		if r.Stdout != "from input\n" || r.Stderr != "to errors\n" {
			t.Errorf("output is %q and errors are %q", r.Stdout, r.Stderr)
		}
	})
}

// The container's user may open its streams again by name, whoever made the pipe.
func TestStreamsBelongToTheUser(t *testing.T) {
	s := asRootMapped(t)
	b := s.bundle(t, lab.Args("/bin/sh", "-c", "echo again >/dev/stdout; echo errors >/dev/stderr; cat /dev/stdin"), func(s *specs.Spec) {
		s.Process.User = specs.User{UID: 1000, GID: 1000}
	}).Busybox()
	cmd := exec.Command("sh", "-c", `printf in | "$@" 2>&1 | cat`, "sh")
	run := s.runtime.Command("run", "--bundle", b.Dir, s.runtime.ID())
	cmd.Args = append(cmd.Args, run.Args...)
	cmd.Env, cmd.SysProcAttr = run.Env, &syscall.SysProcAttr{Setpgid: true}
	got := strings.Fields(s.runtime.Finish(cmd).OK().Stdout)
	if want := []string{"again", "errors", "in"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the streams carried %q, want %q", got, want)
	}
}
