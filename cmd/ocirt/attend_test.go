package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/spec"
)

// attends is whether there is a handler of signals for this processor: see sigpipe.
var attends = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

// attendedRun is runOf for a call that becomes a smaller process: with --debug, it does not.
func attendedRun(t *testing.T, change func(*spec.Bundle), args ...string) *call {
	t.Helper()
	c := runOf(t, change, args...)
	c.Args = slices.DeleteFunc(c.Args, func(s string) bool { return s == "--debug" })
	return c
}

// smallRun is attendedRun of a program that has said that it is ready, and whose call has become
// smaller by then. On a busy machine it may not: where making the container takes longer than
// signals can wait. Begin is start, or something like it.
func smallRun(t *testing.T, change func(*spec.Bundle), begin func(*testing.T, *call) output, args ...string) (*call, output) {
	t.Helper()
	for range 20 {
		c := attendedRun(t, change, args...)
		c.id = strings.ReplaceAll(c.id, "/", "-")
		c.Args[len(c.Args)-1] = c.id
		lines := begin(t, c)
		lines.want(t, "ready")
		for end := time.Now().Add(2 * time.Second); attends && !c.small() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if !attends || c.small() {
			return c, lines
		}
		c.command(t, "kill", c.id, "KILL")
		c.ends(t, 137)
	}
	t.Fatal("the process does not become the small one")
	return nil, output{}
}

// small reports whether a process is the small one, and has given itself its name.
func (c *call) small() bool {
	link, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", c.Process.Pid))
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.Process.Pid))
	return link == "/memfd:ocirt-wait (deleted)" && string(name) == "ocirt\n"
}

func (c *call) becomes(t *testing.T, small bool) {
	t.Helper()
	for end := time.Now().Add(patience); c.small() != small; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v the process is the small one: %v", patience, !small)
		}
	}
}

func (c *call) command(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ocirt", append([]string{"--root", c.state}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
}

// ends expects the exit status, and that nothing is left.
func (c *call) ends(t *testing.T, want int) {
	t.Helper()
	if got := c.status(t); got != want {
		t.Errorf("exit status %d, want %d", got, want)
	}
	c.gone(t)
}

func (c *call) gone(t *testing.T) {
	t.Helper()
	if left, _ := os.ReadDir(c.state); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + c.id); len(groups) > 0 {
		t.Errorf("left behind: %v", groups)
	}
}

func TestWaitingProcess(t *testing.T) {
	need.Feature(t, "attending", attends, "ocirt waits itself on this processor")
	extra, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	c, lines := smallRun(t, nil, func(t *testing.T, c *call) output {
		c.ExtraFiles = []*os.File{extra}
		return start(t, c)
	}, "signals")
	dir := fmt.Sprintf("/proc/%d/", c.Process.Pid)
	if got := contents(t, dir+"cmdline"); got != strings.Join(c.Args, "\x00")+"\x00" {
		t.Errorf("its arguments are %q", got)
	}
	status := contents(t, dir+"status")
	for key, most := range map[string]int{"VmRSS:": 100, "VmSize:": 300, "Threads:": 1} {
		_, after, _ := strings.Cut(status, key)
		if n, err := strconv.Atoi(strings.Fields(after)[0]); err != nil || n > most {
			t.Errorf("%s %d, %v; at most %d", key, n, err, most)
		}
	}
	// Standard streams, state directory, the container's, its lock, init, three of signals,
	// and ocirt itself.
	files, err := os.ReadDir(dir + "fd")
	if err != nil || len(files) != 3+8 {
		t.Errorf("%d descriptors, %v: %v", len(files), err, files)
	}
	if got := contents(t, "/proc/self/status"); field(got, "Cpus_allowed:") != field(status, "Cpus_allowed:") {
		t.Errorf("it may run on processors %s, this process on %s", field(status, "Cpus_allowed:"), field(got, "Cpus_allowed:"))
	}
	for _, sig := range []syscall.Signal{1, 2, 10, 12, 15, 18, 28, 35, 64, 3} {
		if err := c.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		lines.want(t, fmt.Sprint("got ", int(sig)))
	}
	c.ends(t, 23)
}

func field(status, key string) string {
	_, after, _ := strings.Cut(status, key)
	text, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(text)
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A signal that comes while one process becomes another is not lost.
func TestSignalOnTheWay(t *testing.T) {
	for round := range 30 {
		c := attendedRun(t, nil, "signals")
		lines := start(t, c)
		stop := make(chan struct{})
		go func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					_ = unix.Kill(c.Process.Pid, unix.SIGWINCH) // harms nobody who does not expect it
					time.Sleep(time.Duration(round) * 20 * time.Microsecond)
				}
			}
		}()
		lines.want(t, "ready")
		_ = c.Process.Signal(syscall.SIGUSR1)
		for line := range lines.lines {
			if line == "got 10" {
				break
			}
		}
		close(stop)
		_ = c.Process.Signal(syscall.SIGQUIT)
		for range lines.lines { //nolint:revive // up to the end
		}
		c.ends(t, 23)
	}
}

func TestAttendedStatuses(t *testing.T) {
	for _, n := range []int{0, 1, 42, 255} {
		c := attendedRun(t, nil, "exit", strconv.Itoa(n))
		start(t, c)
		c.ends(t, n)
	}
	c := attendedRun(t, nil, "sleep")
	start(t, c).want(t, "ready")
	c.command(t, "kill", c.id, "KILL")
	c.ends(t, 137)
}

func TestAttendedKeep(t *testing.T) {
	c := attendedRun(t, nil, "exit", "7")
	c.Args = slices.Insert(c.Args, len(c.Args)-1, "--keep")
	start(t, c)
	if got := c.status(t); got != 7 {
		t.Errorf("exit status %d", got)
	}
	c.command(t, "state", c.id)
	c.command(t, "delete", c.id)
	c.gone(t)
}

// The signal for the end of the thread that started it reaches the small process, too.
func TestAttendedParentEnds(t *testing.T) {
	end := make(chan struct{})
	c, out := smallRun(t, nil, func(t *testing.T, c *call) output {
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGUSR1}
		lines := make(chan output)
		var thread func()
		thread = func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			if unix.Gettid() == unix.Getpid() {
				go thread() // elsewhere: the first one does not end
			} else {
				lines <- start(t, c)
			}
			<-end
		}
		go thread()
		return <-lines
	}, "signals")
	close(end)
	out.want(t, "got 10")
	_ = c.Process.Signal(syscall.SIGQUIT)
	c.ends(t, 23)
}

// What init says when it cannot start arrives as with a process that does not change.
func TestAttendedStartFails(t *testing.T) {
	for _, text := range []string{"#!/nosuch\n", "no program", ""} {
		var said [2]string
		for i, make := range []func(*testing.T, func(*spec.Bundle), ...string) *call{runOf, attendedRun} {
			c := make(t, func(b *spec.Bundle) {
				b.Spec.Process.Args = []string{"/bin/text"}
				if err := os.WriteFile(filepath.Join(b.Dir, "rootfs", "bin", "text"), []byte(text), 0o755); err != nil {
					t.Error(err)
				}
			})
			out, err := c.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "ocirt run failed: unable to start container process: ") {
				t.Errorf("%v: %s", err, out)
			}
			said[i] = string(out)
			c.gone(t)
		}
		if said[0] != said[1] {
			t.Errorf("it says %q, without --debug %q", said[0], said[1])
		}
	}
}

// What has to be done at the end by ocirt itself is done.
func TestNotAttended(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	for name, change := range map[string]func(*spec.Bundle){
		"poststop": func(b *spec.Bundle) {
			b.Spec.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo x >" + marker}}}}
		},
		"poststart": func(b *spec.Bundle) {
			b.Spec.Hooks = &specs.Hooks{Poststart: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo x >" + marker}}}}
		},
		"pid namespace": func(b *spec.Bundle) {
			l := b.Spec.Linux
			l.Namespaces = slices.DeleteFunc(l.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.PIDNamespace })
			b.Spec.Mounts[0] = specs.Mount{Destination: "/proc", Type: "none", Source: "/proc", Options: []string{"rbind"}}
			l.MaskedPaths, l.ReadonlyPaths = nil, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			var c *call
			if name == "poststart" {
				c, _ = smallRun(t, change, start, "signals")
			} else {
				c = attendedRun(t, change, "signals")
				rename(c, strings.ReplaceAll(c.id, "/", "-"))
				start(t, c).want(t, "ready")
				time.Sleep(100 * time.Millisecond) // a program that runs is later than what would replace ours
				if c.small() {
					t.Error("the process is the small one")
				}
			}
			_ = c.Process.Signal(syscall.SIGQUIT)
			c.ends(t, 23)
			if _, err := os.Stat(marker); (err == nil) != strings.HasPrefix(name, "post") {
				t.Errorf("the hook's file: %v", err)
			}
			_ = os.Remove(marker)
		})
	}
}
