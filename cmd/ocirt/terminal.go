package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal joins the user's terminal to the one of a container that runs in the
// foreground. All methods may be called on nil, which is a container without one.
type terminal struct {
	master *os.File
	saved  *unix.Termios // how standard input was; nil: it is no terminal
	once   sync.Once
	copied chan struct{} // closed when all output has been copied
}

// openTerminal puts the user's terminal, if there is one, into raw mode, and begins to
// copy.
func openTerminal(master *os.File) (*terminal, error) {
	t := &terminal{master: master, copied: make(chan struct{})}
	if saved, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		raw := *saved
		makeRaw(&raw)
		if err := unix.IoctlSetTermios(0, unix.TCSETS, &raw); err != nil {
			return nil, fmt.Errorf("cannot put the terminal into raw mode: %w", err)
		}
		t.saved = saved
	}
	t.resize()
	go t.copyIn()
	go t.copyOut()
	return t, nil
}

// makeRaw is cfmakeraw(3).
func makeRaw(t *unix.Termios) {
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB
	t.Cflag |= unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
}

// restore gives the user's terminal back as it was. Calling it again does nothing.
func (t *terminal) restore() {
	if t == nil {
		return
	}
	t.once.Do(func() {
		if t.saved != nil {
			_ = unix.IoctlSetTermios(0, unix.TCSETS, t.saved)
		}
	})
}

// restoreOnPanic is deferred in every goroutine: a panic in one of them ends the program
// without the deferred calls of the others.
func (t *terminal) restoreOnPanic() {
	if p := recover(); p != nil {
		t.restore()
		panic(p)
	}
}

// resize gives the container's terminal the size of the user's.
func (t *terminal) resize() {
	if t == nil || t.saved == nil {
		return
	}
	if size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil && size.Row > 0 && size.Col > 0 {
		_ = unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, size)
	}
}

// copyIn copies what the user types.
func (t *terminal) copyIn() {
	defer t.restoreOnPanic()
	_, _ = io.Copy(t.master, struct{ io.Reader }{os.Stdin})
}

// copyOut copies the container's output, to its end: a read fails when nobody has the
// terminal open any more and everything has been read. If our own output is closed, the
// rest is read and dropped, so that the container does not stop.
func (t *terminal) copyOut() {
	defer close(t.copied)
	defer t.restoreOnPanic()
	buf := make([]byte, 32<<10)
	var out io.Writer = os.Stdout
	for {
		n, err := t.master.Read(buf)
		if n > 0 {
			if _, werr := out.Write(buf[:n]); werr != nil {
				out = io.Discard
			}
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// finishTime bounds the wait for output after the container's end, which matters only if
// a process outside of it has the terminal open.
const finishTime = time.Second

// finish waits until the container's last output has been copied, and gives the user's
// terminal back.
func (t *terminal) finish() {
	if t == nil {
		return
	}
	select {
	case <-t.copied:
	case <-time.After(finishTime):
	}
	t.restore()
}
