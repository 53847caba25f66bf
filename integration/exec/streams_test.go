package exec

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// eachCommand runs a test with exec into a container, and with run.
func eachCommand(t *testing.T, test func(t *testing.T, s stance, command func(args ...string) *exec.Cmd)) {
	t.Helper()
	t.Run("exec", func(t *testing.T) {
		eachStance(t, func(t *testing.T, s stance) {
			b := s.bundle(t, forever).Busybox()
			s.own(b)
			c := s.r.Launch(b)
			test(t, s, func(args ...string) *exec.Cmd { return s.r.Command(append([]string{"exec", c.ID}, args...)...) })
		})
	})
	t.Run("run", func(t *testing.T) {
		eachStance(t, func(t *testing.T, s stance) {
			test(t, s, func(args ...string) *exec.Cmd {
				b := s.bundle(t, lab.Args(args...)).Busybox()
				s.own(b)
				return s.r.Command("run", "--bundle", b.Dir, s.r.ID())
			})
		})
	})
}

// What is written comes out, and a closed input is the end of the input.
func TestPipes(t *testing.T) {
	eachCommand(t, func(t *testing.T, s stance, command func(...string) *exec.Cmd) {
		text := strings.Repeat("0123456789abcdef\n", 1<<14)
		cmd := command("/inside", "copy")
		cmd.Stdin = strings.NewReader(text)
		if r := s.r.Finish(cmd).OK(); r.Stdout != text {
			t.Errorf("%d bytes of %d", len(r.Stdout), len(text))
		}
		// Half closed: the end of the input comes while the output goes on.
		cmd = command("/bin/sh", "-c", "busybox cat; busybox sleep 0.2; echo later; echo err >&2")
		in, err := cmd.StdinPipe()
		must(t, err)
		run := s.r.Begin(cmd)
		_, err = io.WriteString(in, "first\n")
		must(t, err)
		run.Says("first")
		must(t, in.Close())
		if r := run.End(); r.Stdout != "first\nlater\n" || r.Stderr != "err\n" {
			t.Errorf("%v", r)
		}
	})
}

// A GiB goes through a pipe without a byte lost.
func TestBigOutput(t *testing.T) {
	if testing.Short() {
		t.Skip("-test.short: it moves a GiB")
	}
	const size = 1 << 30
	s := asRoot(t)
	b := s.bundle(t, forever).Busybox()
	c := s.r.Launch(b)
	cmd := s.r.Command("exec", c.ID, "/bin/sh", "-c", fmt.Sprintf("busybox dd if=/dev/zero bs=1048576 count=%d 2>/dev/null; echo end", size>>20))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	h := sha256.New()
	n, err := io.Copy(h, out)
	must(t, err)
	must(t, cmd.Wait())
	want := sha256.New()
	zeros := make([]byte, 1<<20)
	for range size >> 20 {
		want.Write(zeros)
	}
	io.WriteString(want, "end\n")
	if n != size+4 || string(h.Sum(nil)) != string(want.Sum(nil)) {
		t.Errorf("%d bytes of %d, or other ones", n, size+4)
	}
}

// The same through a terminal, which has a small buffer and an end that must be waited for.
func TestBigTerminalOutput(t *testing.T) {
	s := asRoot(t)
	b := s.bundle(t, forever).Busybox()
	c := s.r.Launch(b)
	for range 5 {
		_, slave := lab.NewTerminal(t) // for standard input: -t wants one
		cmd := s.r.Command("exec", "-t", c.ID, "/bin/sh", "-c", "busybox seq 1 200000; echo end")
		cmd.Stdin = slave
		r := s.r.Finish(cmd).OK()
		slave.Close()
		lines := strings.Split(strings.TrimSuffix(r.Stdout, "\r\n"), "\r\n")
		if len(lines) != 200001 || lines[199999] != "200000" || lines[200000] != "end" {
			t.Fatalf("%d lines, the last %q", len(lines), lines[len(lines)-1])
		}
	}
}

// Streams of every kind are handed over as they are, and those that are closed are
// /dev/null: nothing of the runtime's takes their place.
func TestClosedStreams(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, forever).Busybox()
		s.own(b)
		c := s.r.Launch(b)
		for mask := range 8 {
			closing := ""
			for fd, how := range []string{"<&-", ">&-", "2>&-"} {
				if mask&(1<<fd) != 0 {
					closing += " " + how
				}
			}
			cmd := s.r.Command("exec", c.ID, "/bin/sh", "-c", "for i in 0 1 2; do busybox readlink /proc/self/fd/$i; done >/tmp/links; busybox ls /proc/self/fd >>/tmp/links")
			cmd.Args = append([]string{"/bin/sh", "-c", `exec "$@"` + closing, "sh"}, cmd.Args...)
			cmd.Path = "/bin/sh"
			if r := s.r.Finish(cmd); r.Code != 0 {
				t.Errorf("closed%s: %v", closing, r)
			}
			lines := strings.Fields(strings.ReplaceAll(s.exec(c, nil, "/inside", "read", "/tmp/links").OK().Stdout, " (deleted)", ""))
			for fd := range 3 {
				// The redirection of the loop is standard output.
				if mask&(1<<fd) != 0 && fd != 1 && (len(lines) <= fd || lines[fd] != "/dev/null") {
					t.Errorf("closed%s: descriptors are %q", closing, lines)
				}
			}
			if got := strings.Join(lines[min(3, len(lines)):], " "); got != "0 1 2 3" { // 3 is the folder
				t.Errorf("closed%s: open are %s", closing, got)
			}
		}
	})
}

func TestKindsOfStreams(t *testing.T) {
	eachCommand(t, func(t *testing.T, s stance, command func(...string) *exec.Cmd) {
		dir := lab.Dir(t)
		must(t, os.WriteFile(dir+"/in", []byte("from a file\n"), 0o644))
		in, err := os.Open(dir + "/in")
		must(t, err)
		defer in.Close()
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
		defer ours.Close()
		cmd := command("/inside", "copy", "--", "complain", "to a socket")
		cmd.Stdin, cmd.Stderr = in, theirs
		if r := s.r.Finish(cmd).OK(); r.Stdout != "from a file\n" {
			t.Errorf("%v", r)
		}
		theirs.Close()
		must(t, unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
		if text, err := io.ReadAll(ours); err != nil || string(text) != "to a socket\n" {
			t.Errorf("%q, %v", text, err)
		}
	})
}

// A process in the background that keeps the output open does not keep the command.
func TestBackground(t *testing.T) {
	s := asRoot(t)
	b := s.bundle(t, forever).Busybox()
	c := s.r.Launch(b)
	begin := time.Now()
	if r := s.exec(c, nil, "/bin/sh", "-c", "busybox sleep 1000 & echo done").OK(); r.Stdout != "done\n" {
		t.Errorf("%v", r)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
}
