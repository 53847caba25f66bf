package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// What the small process leaves to ocirt.
func TestTakenOver(t *testing.T) {
	need.Feature(t, "attending", attends, "ocirt waits itself on this processor")
	for name, happens := range map[string]func(t *testing.T, c *call){
		"the record was changed":        func(t *testing.T, c *call) { c.command(t, "update", "--pids-limit", "77", c.id) },
		"something is in its directory": func(t *testing.T, c *call) { spoil(t, filepath.Join(c.state, c.id, "more")) },
		"the record is damaged":         func(t *testing.T, c *call) { spoil(t, filepath.Join(c.state, c.id, "state.json")) },
		"a file of it is gone":          func(t *testing.T, c *call) { remove(t, filepath.Join(c.state, c.id, "start.sock")) },
		"its group has another below": func(t *testing.T, c *call) {
			for _, dir := range groupsOf(t, c) {
				if err := os.Mkdir(filepath.Join(dir, "below"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
		},
		"its lock is held": func(t *testing.T, c *call) {
			f, err := os.Open(filepath.Join(c.state, c.id))
			if err == nil {
				err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
			}
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(300*time.Millisecond, func() { f.Close() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := smallRun(t, nil, start, "signals")
			happens(t, c)
			_ = c.Process.Signal(syscall.SIGQUIT)
			c.ends(t, 23)
		})
	}
}

func rename(c *call, id string) { c.id, c.Args[len(c.Args)-1] = id, id }

func spoil(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// groupsOf are the directories of the cgroups that a container has of its own.
func groupsOf(t *testing.T, c *call) (dirs []string) {
	t.Helper()
	init, err := exec.Command("ocirt", "--root", c.state, "ps", "--format", "json", c.id).Output()
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.Trim(strings.SplitN(string(init), ",", 2)[0], "[]\n ")
	for line := range strings.Lines(contents(t, "/proc/"+pid+"/cgroup")) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		dir := filepath.Join("/sys/fs/cgroup", strings.TrimPrefix(part[1], "name="), part[2])
		if strings.HasSuffix(dir, c.id) {
			if _, err := os.Stat(dir); err == nil {
				dirs = append(dirs, dir)
			}
		}
	}
	if len(dirs) == 0 {
		t.Fatal("the container has no cgroups")
	}
	return dirs
}

// Another one of the same name, made while nobody looked, is not touched.
func TestAttendedIDTakenByAnother(t *testing.T) {
	c, _ := smallRun(t, nil, start, "sleep")
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.command(t, "delete", "--force", c.id)
	bundle := c.Args[slices.Index(c.Args, "--bundle")+1]
	// With no pipe to wait for: the container has it, too.
	if err := exec.Command("ocirt", "--root", c.state, "run", "--detach", "--bundle", bundle, c.id).Run(); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := c.status(t); got != 137 {
		t.Errorf("exit status %d", got)
	}
	if out, err := exec.Command("ocirt", "--root", c.state, "state", c.id).Output(); err != nil || !strings.Contains(string(out), `"status": "running"`) {
		t.Errorf("%v: %s", err, out)
	}
	c.command(t, "delete", "--force", c.id)
	c.gone(t)
}

// A child that was there before is waited for; the container goes on.
func TestAttendedWithAnotherChild(t *testing.T) {
	path, err := exec.LookPath("ocirt")
	if err != nil {
		t.Fatal(err)
	}
	c, lines := smallRun(t, nil, func(t *testing.T, c *call) output {
		c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", `sleep 1 & exec "$0" "$@"`, path}, c.Args[1:]...)
		return start(t, c)
	}, "signals")
	c.becomes(t, false) // when sleep ends
	children := fmt.Sprintf("/proc/%d/task/%d/children", c.Process.Pid, c.Process.Pid)
	for end := time.Now().Add(patience); len(strings.Fields(contents(t, children))) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("children: %s", contents(t, children))
		}
	}
	if got := contents(t, fmt.Sprintf("/proc/%d/comm", c.Process.Pid)); got != "ocirt\n" {
		t.Errorf("its name is %q", got)
	}
	_ = c.Process.Signal(syscall.SIGUSR2)
	lines.want(t, "got 12")
	_ = c.Process.Signal(syscall.SIGQUIT)
	lines.want(t, "got 3")
	c.ends(t, 23)
}
