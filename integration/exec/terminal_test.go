package exec

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// onTerminal prepares a command whose terminal is the other side of the returned one.
func onTerminal(t *testing.T, s stance, args ...string) (*lab.Terminal, *os.File, *lab.Running) {
	t.Helper()
	term, slave := lab.NewTerminal(t)
	term.Resize(101, 41)
	t.Cleanup(func() { slave.Close() })
	if os.Geteuid() == 0 {
		must(t, slave.Chown(s.r.User, s.r.User))
	}
	cmd := s.r.Command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Credential: cmd.SysProcAttr.Credential}
	return term, slave, s.r.Begin(cmd)
}

func attributes(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	a, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	must(t, err)
	return *a
}

// In the foreground the caller's terminal is the command's: its size from the first
// instruction on, its keys, its changes of size; and afterwards it is as it was.
func TestTerminal(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, forever).Busybox()
		s.own(b)
		c := s.r.Launch(b)
		term, slave, run := onTerminal(t, s, "exec", "-t", c.ID, "/inside", "tty", "--", "tty", "1", "--", "tty", "2",
			"--", "link", "/proc/self/fd/0", "--", "try-write", "/dev/tty", "--", "exec", "/bin/sh", "-i")
		term.Says("101 41\r\n101 41\r\n101 41\r\n/dev/pts/")
		term.Says("\r\nok\r\n")
		raw := attributes(t, slave)
		if raw.Lflag&(unix.ICANON|unix.ECHO) != 0 {
			t.Errorf("the caller's terminal is not raw: %+v", raw)
		}
		term.Resize(102, 42)
		if !lab.Eventually(func() bool {
			term.Type("busybox stty size\n")
			time.Sleep(50 * time.Millisecond)
			return strings.Contains(term.Text(), "42 102")
		}) {
			t.Errorf("the new size does not arrive: %q", term.Text())
		}
		term.Type("exit 6\n")
		if r := run.End(); r.Code != 6 {
			t.Errorf("want status 6, got %v: %q", r, term.Text())
		}
		if after := attributes(t, slave); after.Lflag&(unix.ICANON|unix.ECHO) != unix.ICANON|unix.ECHO {
			t.Errorf("the terminal is left as %+v", after)
		}
	})
}

// However run and exec end, the caller gets the terminal back as it was.
func TestTerminalIsRestored(t *testing.T) {
	s := asRoot(t)
	withTerminal := func(c *specs.Spec) { c.Process.Terminal = true }
	b := s.bundle(t, withTerminal, lab.Check("echo", "up", "--", "sleep", "forever"))
	bad := s.bundle(t, withTerminal)
	bad.File("text", "hello\n", 0o755)
	bad.Edit(lab.Args("/text"))
	k := s.launch(t)
	k2 := s.r.Launch(func() *lab.Bundle { b := s.bundle(t, forever); b.File("text", "hello\n", 0o755); return b }())
	for _, row := range []struct {
		name   string
		args   []string
		signal unix.Signal
		code   int
	}{
		{"exec, TERM", []string{"exec", "-t", k.ID, "/inside", "echo", "up", "--", "sleep", "forever"}, unix.SIGTERM, 143},
		{"exec, HUP", []string{"exec", "-t", k.ID, "/inside", "echo", "up", "--", "sleep", "forever"}, unix.SIGHUP, 129},
		{"exec, error", []string{"exec", "-t", k2.ID, "/text"}, 0, 255},
		{"exec, missing", []string{"exec", "-t", k.ID, "nope"}, 0, 255},
		{"exec, end", []string{"exec", "-t", k.ID, "/inside", "exit", "3"}, 0, 3},
		{"run, KILL inside", []string{"run", "--bundle", b.Dir, s.r.ID()}, unix.SIGKILL, 137},
		{"run, error", []string{"run", "--bundle", bad.Dir, s.r.ID()}, 0, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			term, slave := lab.NewTerminal(t)
			defer slave.Close()
			before := attributes(t, slave)
			cmd := s.r.Command(row.args...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			run := s.r.Begin(cmd)
			switch {
			case row.signal == unix.SIGKILL:
				term.Says("up")
				s.r.Do("kill", row.args[len(row.args)-1], "KILL").OK()
			case row.signal != 0:
				term.Says("up")
				must(t, unix.Kill(cmd.Process.Pid, row.signal))
			}
			if r := run.End(); r.Code != row.code {
				t.Errorf("want status %d, got %v: %q", row.code, r, term.Text())
			}
			if after := attributes(t, slave); after != before {
				t.Errorf("the terminal was %+v and is %+v", before, after)
			}
			if row.code == 255 {
				term.Says("exec failed: ")
			}
		})
	}
}

// Detached, the master goes to the socket, and the process has its size from the beginning.
func TestConsoleSocket(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.launch(t)
		path, receive := lab.ConsoleSocket(t, s.r.User)
		file := pidFile(t, s)
		object := map[string]any{
			"args": []string{"/inside", "tty", "--", "link", "/proc/self/fd/0", "--", "stat", "/proc/self/fd/0", "--", "echo", "END", "--", "sleep", "forever"},
			"cwd":  "/", "terminal": true, "consoleSize": map[string]int{"width": 91, "height": 37},
		}
		s.exec(c, []string{"-d", "--pid-file", file, "--console-socket", path, "-p", process(t, s, object)}).OK()
		term := receive()
		term.Says("91 37\r\n/dev/pts/")
		term.Says("END")
		if term.Name != "/dev/ptmx" && s.r.Ours() {
			t.Errorf("the terminal came under the name %q", term.Name)
		}
		// Its end of the terminal is the process's own.
		pid := readPid(t, file)
		var st unix.Stat_t
		must(t, unix.Stat(fmt.Sprintf("/proc/%d/fd/0", pid), &st))
		if int(st.Uid) != s.uid {
			t.Errorf("the terminal is %d's on the host, want %d", st.Uid, s.uid)
		}
		session := s.exec(c, nil, "/inside", "read", "/proc/self/stat").OK().Stdout
		if fields := strings.Fields(session); len(fields) > 6 && fields[6] != "0" {
			t.Errorf("a process without a terminal has the controlling terminal %s", fields[6])
		}
		must(t, unix.Kill(pid, unix.SIGKILL))
		_, _ = unix.Wait4(pid, nil, 0, nil)
		fails(t, s.exec(c, []string{"-d", "-t", "--console-socket", path + "-none"}, "/inside"), "--console-socket", "no such file or directory")
	})
}

// The terminal is the user's that the process will be.
func TestTerminalOwner(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		if s.ids == 1 {
			t.Skip("a user without subordinate ids has one id in a container, and this test needs two")
		}
		c := s.launch(t)
		path, receive := lab.ConsoleSocket(t, s.r.User)
		file := pidFile(t, s)
		s.exec(c, []string{"-d", "-t", "-u", "7", "--pid-file", file, "--console-socket", path}, "/inside", "stat", "/proc/self/fd/0", "--", "try-write", "/dev/tty", "--", "echo", "END").OK()
		term := receive()
		term.Says("END")
		if got := term.Text(); !strings.Contains(got, " 7 ") || !strings.Contains(got, "\nok") {
			t.Errorf("%q", got)
		}
		_, err := unix.Wait4(readPid(t, file), nil, 0, nil)
		must(t, err)
	})
}
