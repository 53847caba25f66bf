package tour

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func terminal(s *specs.Spec) {
	s.Process.Terminal = true
	s.Process.ConsoleSize = &specs.Box{Width: 91, Height: 37}
}

// withTerminal creates a container and takes its terminal.
func withTerminal(t *testing.T, s stance, b *lab.Bundle) (*lab.Container, *lab.Terminal) {
	t.Helper()
	path, receive := lab.ConsoleSocket(t, s.runtime.User)
	c := s.runtime.Create(b, "--console-socket", path)
	return c, receive()
}

func TestTerminal(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, terminal, lab.Check("tty", "--", "tty", "1", "--", "tty", "2", "--", "link", "/proc/self/fd/0", "--", "stat", "/dev/console",
			"--", "try-write", "/dev/console", "--", "try-write", "/dev/tty", "--", "echo", "END"))
		c, term := withTerminal(t, s, b)
		if want := "/dev/ptmx"; term.Name != want && s.runtime.Ours() {
			t.Logf("the terminal came under the name %q", term.Name)
		}
		c.Start()
		term.Says("END")
		got := strings.Split(strings.ReplaceAll(term.Text(), "\r\n", "\n"), "\n")
		want := []string{"91 37", "91 37", "91 37", "/dev/pts/0", "char 0620 0 ", "ok", "ok", "END"}
		for i, w := range want {
			if i >= len(got) || !strings.HasPrefix(got[i], w) {
				t.Errorf("line %d is not %q: %q", i+1, w, got)
			}
		}
		if code := c.Wait(); code != 0 {
			t.Errorf("status is %d", code)
		}
	})
}

// The terminal is the session's: its keys are signals, and the window's size can change.
func TestJobControl(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, terminal, lab.Args("/bin/sh", "-i")).Busybox()
		c, term := withTerminal(t, s, b)
		c.Start()
		alone := func(n int) func() bool {
			return func() bool { return len(processes(t, link(t, c.Namespace("pid")))) == n }
		}
		term.Type("busybox sleep 1000\n")
		lab.Eventually(alone(2))
		press(t, term, "\x03", alone(1))
		term.Type("echo st''atus $?\n")
		term.Says("status 130")
		term.Type("busybox sleep 1000\n")
		lab.Eventually(alone(2))
		press(t, term, "\x1a", func() bool { return strings.Contains(term.Text(), "Stopped") })
		term.Resize(132, 50)
		term.Type("busybox stty size\n")
		term.Says("50 132")
		term.Type("kill -9 %1; exit 5\nexit 5\n")
		if code := c.Wait(); code != 5 {
			t.Errorf("status is %d, want 5: %q", code, term.Text())
		}
		if strings.Contains(term.Text(), "job control turned off") {
			t.Errorf("the shell has no job control: %q", term.Text())
		}
	})
}

// press presses a key until something is so: a shell is for a moment deaf to keys before its
// child is in the foreground.
func press(t *testing.T, term *lab.Terminal, key string, done func() bool) {
	t.Helper()
	if !lab.Eventually(func() bool {
		term.Type(key)
		time.Sleep(100 * time.Millisecond)
		return done()
	}) {
		t.Fatalf("the key %q does nothing: %q", key, term.Text())
	}
}

// In the foreground the terminal of the caller is the container's, keys and size included,
// and is as before afterwards.
func TestForegroundTerminal(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, terminal, func(s *specs.Spec) { s.Process.ConsoleSize = nil }, lab.Args("/bin/sh", "-i")).Busybox()
		term, slave := lab.NewTerminal(t)
		term.Resize(101, 41)
		if s.runtime.User != 0 && os.Geteuid() == 0 {
			if err := slave.Chown(s.runtime.User, s.runtime.User); err != nil {
				t.Fatal(err)
			}
		}
		before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		cmd := s.runtime.Command("run", "--bundle", b.Dir, s.runtime.ID())
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		credential := cmd.SysProcAttr.Credential
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Credential: credential}
		run := s.runtime.Begin(cmd)
		defer slave.Close()
		term.Type("busybox stty size\n")
		term.Says("41 101")
		term.Resize(102, 42)
		if !lab.Eventually(func() bool {
			if strings.Contains(term.Text(), "42 102") {
				return true
			}
			term.Type("busybox stty size\n")
			time.Sleep(50 * time.Millisecond)
			return false
		}) {
			t.Errorf("the new size does not reach the container: %q", term.Text())
		}
		term.Type("busybox sleep 1000; echo st''atus $?\n")
		press(t, term, "\x03", func() bool {
			term.Type("echo bac''k\n")
			return strings.Contains(term.Text(), "\nback")
		})
		term.Type("exit 6\n")
		if r := run.End(); r.Code != 6 {
			t.Errorf("want status 6, got %v: %q", r, term.Text())
		}
		after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil || *after != *before {
			t.Errorf("the terminal was %+v and is %+v (%v)", before, after, err)
		}
	})
}

func TestTerminalErrors(t *testing.T) {
	s := asRoot(t)
	with, without := s.bundle(t, terminal), s.bundle(t)
	words := func(w ...string) []string {
		if s.runtime.Ours() {
			return w
		}
		return nil
	}
	create := func(b *lab.Bundle, socket string) []string {
		return []string{"create", "--bundle", b.Dir, "--console-socket", socket, s.runtime.ID()}
	}
	s.runtime.CreateFails(with, words("cannot allocate tty if ocirt will detach without setting console socket")...)
	s.runtime.Fails(create(without, "/none"), words("cannot use console socket if ocirt will not detach or allocate tty")...)
	s.runtime.Fails(create(with, lab.Dir(t)+"/none"), words("console-socket", "no such file or directory")...)
	s.runtime.Fails(create(with, "/etc/passwd"), words("console-socket", "connection refused")...)
	path, _ := lab.ConsoleSocket(t, 0)
	gone := path + "-gone"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: gone}); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	s.runtime.Fails(create(with, gone), words("console-socket", "connection refused")...)
}
