package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listenAt listens on a socket whose path is longer than a socket's address may be.
func listenAt(t *testing.T) (path string, l *net.UnixListener) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "l")
	if err := os.Symlink(dir, short); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(short, "sock")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return filepath.Join(dir, "sock"), l
}

// receive takes the one message that a console or pidfd socket gets.
func receive(t *testing.T, l *net.UnixListener) (payload string, f *os.File) {
	t.Helper()
	_ = l.SetDeadline(time.Now().Add(patience))
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	data, oob := make([]byte, 4096), make([]byte, 128)
	n, m, _, _, err := conn.ReadMsgUnix(data, oob)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:m])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d control messages (%v)", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("descriptors %v (%v)", fds, err)
	}
	f = os.NewFile(uintptr(fds[0]), "received")
	t.Cleanup(func() { f.Close() })
	return string(data[:n]), f
}

func TestConsoleSocket(t *testing.T) {
	c := runOf(t, withTerminal, "echo", "hello")
	console, consoles := listenAt(t)
	pidfd, pidfds := listenAt(t)
	args := append([]string{"run", "--detach", "--console-socket", console, "--pidfd-socket", pidfd}, c.Args[len(c.Args)-3:]...)
	run := exec.CommandContext(t.Context(), "ocirt", append([]string{"--root", c.state}, args...)...)
	out := make(chan string)
	go func() {
		text, err := run.CombinedOutput()
		if err != nil {
			text = append(text, err.Error()...)
		}
		out <- string(text)
	}()
	name, master := receive(t, consoles)
	if !strings.HasPrefix(name, "/dev/pt") {
		t.Errorf("the payload is %q, want the terminal's name", name)
	}
	if payload, f := receive(t, pidfds); payload != "standard" {
		t.Errorf("the payload of the pidfd is %q", payload)
	} else if err := unix.PidfdSendSignal(int(f.Fd()), 0, nil, 0); err != nil && err != unix.ESRCH {
		t.Errorf("what arrived is no pidfd: %v", err)
	}
	linesOf(master).want(t, "hello")
	if text := <-out; text != "" {
		t.Errorf("ocirt said: %s", text)
	}
}
