package notify

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// start waits until the container is ready, with nothing locked.
func TestStartWaits(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		h := listen(t, s.runtime, "")
		b := s.bundle(t, lab.Check("notify", "STATUS=warming up", "--", "wait-for", "/tmp/go", "20", "--",
			"notify", "STATUS=warm", "READY=1", "--", "sleep", "forever"))
		c := s.runtime.Create(b)
		if got := h.heard(); len(got) > 0 {
			t.Errorf("create says %q", got)
		}
		run := s.runtime.Begin(s.runtime.Command("start", c.ID))
		h.hears("STATUS=warming up")
		if state := c.State(); state.Status != specs.StateRunning {
			t.Errorf("status is %s while start waits, want running", state.Status)
		}
		if ended(run) {
			t.Error("start has not waited")
		}
		goOn(t, b)
		if res := run.End().OK(); res.Stderr != "" {
			t.Errorf("start says %s", res.Stderr)
		}
		h.is("STATUS=warming up", "STATUS=warm\nREADY=1", "MAINPID="+strconv.Itoa(c.Pid), "BARRIER=1")
		c.Delete("--force").OK()
		s.runtime.NothingLeft()
	})
}

func TestRunDetached(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		h := listen(t, s.runtime, "")
		b := s.bundle(t, lab.Check("notify", "READY=1", "--", "sleep", "forever"))
		id := s.runtime.ID()
		s.runtime.Do("run", "--detach", "--bundle", b.Dir, id).OK()
		h.is("READY=1", "MAINPID="+strconv.Itoa(s.runtime.PidOf(id)), "BARRIER=1")
		s.runtime.Do("delete", "--force", id).OK()
		s.runtime.NothingLeft()
	})
}

// In the foreground everything is passed on, and the main process is the runtime's.
func TestRunInTheForeground(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		h := listen(t, s.runtime, "")
		b := s.bundle(t, lab.Check("notify", "READY=1", "--", "notify", "WATCHDOG=1", "--", "notify", "EXTEND_TIMEOUT_USEC=5000000", "--",
			"wait-for", "/tmp/go", "20", "--", "notify", "STOPPING=1", "STATUS=bye", "--", "exit", "7"))
		run := s.runtime.Begin(s.runtime.Command("run", "--bundle", b.Dir, s.runtime.ID()))
		h.hears("EXTEND_TIMEOUT_USEC=5000000")
		goOn(t, b)
		if res := run.End(); res.Code != 7 || res.Stderr != "" {
			t.Errorf("want status 7 and no words, got %v", res)
		}
		h.is("READY=1", "MAINPID="+strconv.Itoa(run.Cmd.Process.Pid), "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=5000000", "STOPPING=1\nSTATUS=bye", "BARRIER=1")
		for _, pid := range h.pids {
			if pid != run.Cmd.Process.Pid {
				t.Errorf("%d speaks to the service manager, want %d", pid, run.Cmd.Process.Pid)
			}
		}
		s.runtime.NothingLeft()
	})
}

// A service manager finds out who speaks by the pid: start is there until it has read.
func TestBarrier(t *testing.T) {
	s := asRoot(t)
	h := listen(t, s.runtime, "")
	h.hold = true
	c := s.runtime.Create(s.bundle(t, lab.Check("notify", "READY=1", "--", "sleep", "forever")))
	run := s.runtime.Begin(s.runtime.Command("start", c.ID))
	h.hears("BARRIER=1")
	if ended(run) {
		t.Error("start has not waited for the barrier")
	}
	h.release()
	run.End().OK()
}

// A container that ends without being ready does not keep start waiting.
func TestEndBeforeReady(t *testing.T) {
	for name, args := range map[string][]string{
		"silent": {"exit", "0"}, "after words": {"notify", "STATUS=no", "--", "exit", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := asRoot(t)
			h := listen(t, s.runtime, "")
			c := s.runtime.Create(s.bundle(t, lab.Check(args...)))
			res := s.runtime.Do("start", c.ID).OK()
			if !strings.Contains(res.Stderr, "NOTIFY_SOCKET: the container has ended and never said READY=1") {
				t.Errorf("no warning, but %q", res.Stderr)
			}
			if name == "silent" {
				h.is()
			} else {
				h.is("STATUS=no", "BARRIER=1")
			}
		})
	}
	t.Run("killed", func(t *testing.T) {
		s := asRoot(t)
		h := listen(t, s.runtime, "")
		c := s.runtime.Create(s.bundle(t, lab.Check("notify", "STATUS=here", "--", "sleep", "forever")))
		run := s.runtime.Begin(s.runtime.Command("start", c.ID))
		h.hears("STATUS=here")
		c.Delete("--force").OK()
		run.End().OK()
		s.runtime.NothingLeft()
	})
	t.Run("ready and gone", func(t *testing.T) {
		s := asRoot(t)
		h := listen(t, s.runtime, "")
		c := s.runtime.Create(s.bundle(t, lab.Check("notify", "READY=1")))
		if res := s.runtime.Do("start", c.ID).OK(); res.Stderr != "" {
			t.Errorf("start says %s", res.Stderr)
		}
		h.is("READY=1", "MAINPID="+strconv.Itoa(c.Pid), "BARRIER=1")
	})
}

// What start does depends on what create did.
func TestStartInAnotherEnvironment(t *testing.T) {
	s := asRoot(t)
	quiet := s.runtime.Env
	h := listen(t, s.runtime, "")
	loud := s.runtime.Env
	b := s.bundle(t, lab.Check("sleep", "forever"))
	for name, c := range map[string][2][]string{"with, without": {loud, quiet}, "without, with": {quiet, loud}} {
		t.Run(name, func(t *testing.T) {
			s.runtime.Env = c[0]
			container := s.runtime.Create(b)
			s.runtime.Env = c[1]
			if res := s.runtime.Do("start", container.ID).OK(); res.Stderr != "" {
				t.Errorf("start says %s", res.Stderr)
			}
			h.is()
			container.Delete("--force").OK()
		})
	}
	s.runtime.NothingLeft()
}

// The folder is private, of one socket, and cannot be changed by the container.
func TestMount(t *testing.T) {
	for _, uid := range []uint32{0, 1000} {
		t.Run(fmt.Sprint(uid), func(t *testing.T) {
			s := asRoot(t)
			s.runtime.Wrap = []string{"sh", "-c", `umask 077; exec "$0" "$@"`}
			h := listen(t, s.runtime, "")
			b := s.bundle(t, lab.Mount("/run", "tmpfs", "tmpfs", "ro"), func(c *specs.Spec) { c.Process.User = specs.User{UID: uid, GID: uid} },
				lab.Check("notify", "READY=1", "--", "read", "/proc/self/mountinfo", "--", "stat", "/run/notify", "--", "stat", "/run/notify/notify.sock",
					"--", "try-write", "/run/notify", "--", "try-write", "/run", "--", "list", "/run/notify"))
			out := s.runtime.Run(b).OK().Stdout
			mount := ""
			for line := range strings.Lines(out) {
				if f := strings.Fields(line); len(f) > 8 && f[4] == "/run/notify" {
					mount = line
				}
			}
			fields := strings.Fields(mount)
			if len(fields) < 8 || !strings.HasPrefix(fields[5], "ro,nosuid,nodev,noexec") || fields[6] != "-" {
				t.Errorf("/run/notify must be a private mount, read-only, nosuid, nodev and noexec: %q", mount)
			}
			for _, want := range []string{"directory 0755 0 0\n", "socket 0777 0 0\n", "read-only file system\nread-only file system\nnotify.sock\n"} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in\n%s", want, out)
				}
			}
			h.hears("READY=1")
			s.runtime.NothingLeft()
		})
	}
}

// A name too long for a socket's address, and one without a file.
func TestAddresses(t *testing.T) {
	s := asRoot(t)
	long := filepath.Join(lab.Dir(t), strings.Repeat("d", 100), strings.Repeat("e", 100))
	must(t, os.MkdirAll(long, 0o755))
	for name, address := range map[string]string{"long": long + "/manager", "abstract": fmt.Sprintf("@ocirt-lab-%d", os.Getpid())} {
		t.Run(name, func(t *testing.T) {
			env := s.runtime.Env
			defer func() { s.runtime.Env = env }()
			h := listen(t, s.runtime, address)
			s.runtime.Run(s.bundle(t, lab.Check("notify", "READY=1"))).OK()
			h.hears("READY=1")
		})
	}
}

// SEC E-01: a bad address is a warning, and the container starts without.
func TestBadAddresses(t *testing.T) {
	s := asRoot(t)
	dir := lab.Dir(t)
	must(t, os.WriteFile(dir+"/file", nil, 0o644))
	must(t, unix.Mkfifo(dir+"/fifo", 0o644))
	for name, kind := range map[string]int{"deaf": unix.SOCK_DGRAM, "stream": unix.SOCK_STREAM} {
		fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		bind(t, fd, dir+"/"+name)
		if kind == unix.SOCK_STREAM {
			must(t, unix.Listen(fd, 1))
			defer unix.Close(fd)
			continue
		}
		unix.Close(fd)
	}
	env := s.runtime.Env
	for name, c := range map[string][2]string{
		"relative":    {"run/manager", "must be an absolute path, or begin with @"},
		"other kind":  {"vsock:2:1234", "must be an absolute path, or begin with @"},
		"only @":      {"@", "must be an absolute path, or begin with @"},
		"missing":     {dir + "/missing", "no such file or directory"},
		"200 bytes":   {dir + "/" + strings.Repeat("x", 200), "no such file or directory"},
		"4000 bytes":  {"/" + strings.Repeat("x", 4000), "file name too long"},
		"long name":   {"@" + strings.Repeat("x", 200), "invalid argument"},
		"folder":      {dir, "must be a socket"},
		"file":        {dir + "/file", "must be a socket"},
		"fifo":        {dir + "/fifo", "must be a socket"},
		"nobody":      {dir + "/deaf", "connection refused"},
		"stream":      {dir + "/stream", "protocol wrong type for socket"},
		"nobody at @": {"@ocirt-lab-nobody", "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s.runtime.Env = append(append([]string{}, env...), "NOTIFY_SOCKET="+c[0])
			b := s.bundle(t, lab.Check("report", "process"))
			for _, command := range []string{"run", "create"} {
				res, out := lab.Result{}, ""
				if command == "run" {
					res = s.runtime.Run(b).OK()
					out = res.Stdout
				} else {
					c := s.runtime.Create(b)
					res.Stderr = c.Stderr()
					s.runtime.Do("start", c.ID).OK()
					c.Wait()
					out = c.Stdout()
				}
				want := fmt.Sprintf("NOTIFY_SOCKET: cannot use %q: %s; the container starts without it", c[0], c[1])
				if text := strings.ReplaceAll(res.Stderr, `\"`, `"`); !strings.Contains(text, "level=warning") || !strings.Contains(text, want) {
					t.Errorf("%s: warning %q, want %q", command, res.Stderr, want)
				}
				if r := lab.ParseReport(t, out); strings.Contains(strings.Join(r.Process.Env, "\n"), "NOTIFY_SOCKET") {
					t.Errorf("%s: the environment is %q", command, r.Process.Env)
				}
			}
			if _, err := os.Lstat(filepath.Join(b.Rootfs, "run")); err == nil {
				t.Error("there is a place for the socket")
			}
		})
	}
}

// A service manager that goes away between create and start.
func TestDeafManager(t *testing.T) {
	s := asRoot(t)
	h := listen(t, s.runtime, "")
	c := s.runtime.Create(s.bundle(t, lab.Check("sleep", "forever")))
	for i, e := range s.runtime.Env {
		if strings.HasPrefix(e, "NOTIFY_SOCKET=") {
			s.runtime.Env[i] = e + "-gone"
		}
	}
	res := s.runtime.Do("start", c.ID).OK()
	if !strings.Contains(res.Stderr, "no such file or directory; nothing is passed on to it") {
		t.Errorf("no warning, but %q", res.Stderr)
	}
	h.is()
}

// ended reports whether a command has ended, after a moment to do so.
func ended(run *lab.Running) bool {
	time.Sleep(100 * time.Millisecond)
	return strings.Contains(contents(fmt.Sprintf("/proc/%d/stat", run.Cmd.Process.Pid)), ") Z")
}

func contents(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}
