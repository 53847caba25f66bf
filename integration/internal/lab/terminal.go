package lab

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Terminal is the master of a pseudo-terminal. What comes from the other side is
// collected.
type Terminal struct {
	Master *os.File
	Name   string // of the file that was received with it
	t      testing.TB
	mu     sync.Mutex
	text   strings.Builder
}

// ConsoleSocket listens where --console-socket wants it, and returns the path and a
// function that waits for the terminal.
func ConsoleSocket(t testing.TB, uid int) (path string, receive func() *Terminal) {
	t.Helper()
	path = filepath.Join(Dir(t), "console")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	if os.Geteuid() == 0 {
		must(t, os.Chown(path, uid, uid))
	}
	must(t, unix.Listen(fd, 1))
	return path, func() *Terminal {
		t.Helper()
		_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(Patience / time.Second)})
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		must(t, err)
		defer unix.Close(conn)
		return receiveTerminal(t, conn)
	}
}

func receiveTerminal(t testing.TB, conn int) *Terminal {
	t.Helper()
	data, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(16))
	n, cn, _, _, err := unix.Recvmsg(conn, data, control, unix.MSG_CMSG_CLOEXEC)
	must(t, err)
	msgs, err := unix.ParseSocketControlMessage(control[:cn])
	must(t, err)
	if len(msgs) != 1 {
		t.Fatalf("%d control messages came, want 1", len(msgs))
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	must(t, err)
	if len(fds) != 1 {
		t.Fatalf("%d descriptors came, want 1", len(fds))
	}
	return collect(t, os.NewFile(uintptr(fds[0]), "terminal"), string(data[:n]))
}

// NewTerminal makes a terminal and returns it with its other side.
func NewTerminal(t testing.TB) (*Terminal, *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	peer, err := unix.Open("/dev/pts/"+strconv.Itoa(n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	must(t, err)
	return collect(t, master, ""), os.NewFile(uintptr(peer), "slave")
}

func collect(t testing.TB, master *os.File, name string) *Terminal {
	term := &Terminal{Master: master, Name: name, t: t}
	fd, stop, done := int(master.Fd()), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(fds, 20)
			select {
			case <-stop:
				return
			default:
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return
			}
			if n <= 0 {
				continue
			}
			if n, err = unix.Read(fd, buf); err != nil || n == 0 {
				time.Sleep(time.Millisecond) // EIO: nobody has the other side open, yet or any more
				continue
			}
			term.mu.Lock()
			term.text.Write(buf[:n])
			term.mu.Unlock()
		}
	}()
	t.Cleanup(func() { close(stop); <-done; master.Close() })
	return term
}

// Text is what came so far.
func (term *Terminal) Text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.text.String()
}

// Says waits until this came.
func (term *Terminal) Says(text string) {
	term.t.Helper()
	if !Eventually(func() bool { return strings.Contains(term.Text(), text) }) {
		term.t.Fatalf("the terminal never says %q, but %q", text, term.Text())
	}
}

// Type sends keys.
func (term *Terminal) Type(keys string) {
	term.t.Helper()
	_, err := unix.Write(int(term.Master.Fd()), []byte(keys))
	must(term.t, err)
}

// Resize changes the window.
func (term *Terminal) Resize(columns, rows uint16) {
	term.t.Helper()
	must(term.t, unix.IoctlSetWinsize(int(term.Master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}))
}
