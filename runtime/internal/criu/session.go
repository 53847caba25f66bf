package criu

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
)

// ErrMissing is a host without CRIU.
var ErrMissing = errors.New(`"criu" is in no absolute folder of $PATH`)

// Find is the path of criu: the first one in the absolute folders of $PATH.
func Find() (string, error) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, "criu")
		if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", ErrMissing
}

// A Session is a `criu swrk` and the socket to it.
type Session struct {
	cmd    *exec.Cmd
	sock   int
	said   *os.File // what it writes to standard error: what goes wrong before it has a log
	reaped bool
}

// FirstFile is the number that the first of Start's files has in CRIU.
const FirstFile = 4

// Start starts CRIU, as a child of the calling thread and with its namespaces. Files are
// for Options.Inherit; a nil one leaves its number out.
func Start(path string, files []*os.File, attr *syscall.SysProcAttr) (_ *Session, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make the socket to CRIU: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "criu")
	defer theirs.Close()
	s := &Session{sock: pair[0]}
	fd, err := unix.MemfdCreate("criu", unix.MFD_CLOEXEC)
	if err != nil {
		unix.Close(s.sock)
		return nil, fmt.Errorf("cannot make a file for what CRIU says: %w", err)
	}
	s.said = os.NewFile(uintptr(fd), "criu")
	s.cmd = exec.Command(path, "swrk", "3")
	s.cmd.ExtraFiles = append([]*os.File{theirs}, files...)
	s.cmd.Stderr = s.said
	s.cmd.SysProcAttr = attr
	if err := s.cmd.Start(); err != nil {
		unix.Close(s.sock)
		s.said.Close()
		return nil, fmt.Errorf("cannot start %s: %w", path, err)
	}
	return s, nil
}

// Pid is the process of CRIU.
func (s *Session) Pid() int { return s.cmd.Process.Pid }

// A Notification is a moment at which CRIU waits for its client.
type Notification struct {
	Name  string     // "setup-namespaces", "post-restore", ...
	Pid   int        // of the tree's root in the client's pid namespace; 0 if it is not told
	Files []*os.File // closed afterwards, unless they are taken out
}

// An Error is a request that CRIU refused, or could not fulfil.
type Error struct {
	Errno syscall.Errno // 0 if CRIU did not say
	Text  string        // may be empty
}

func (e *Error) Error() string {
	text := e.Text
	if e.Errno != 0 {
		text = strings.TrimPrefix(text+": "+e.Errno.Error(), ": ")
	}
	if text == "" {
		return "CRIU gave no reason"
	}
	return text
}

// Unwrap gives the errno, for errors.Is.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// Do sends a request and serves what CRIU asks meanwhile, until it answers. If on returns
// an error CRIU gives up, and that error is returned.
func (s *Session) Do(r *Request, on func(*Notification) error) (*Response, error) {
	if err := linux.Send(s.sock, r.marshal(), nil); err != nil {
		return nil, s.gone(err)
	}
	var failed error
	for {
		resp, files, err := s.receive()
		if err != nil {
			return nil, errors.Join(failed, err)
		}
		if resp.Type != notify {
			closeFiles(files)
			return resp, s.outcome(resp, failed)
		}
		n := &Notification{Name: resp.Script, Pid: resp.Pid, Files: files}
		if failed == nil && on != nil {
			failed = on(n)
		}
		closeFiles(n.Files)
		answer := &Request{Type: notify, Success: failed == nil}
		if err := linux.Send(s.sock, answer.marshal(), nil); err != nil {
			return nil, errors.Join(failed, s.gone(err))
		}
	}
}

func (s *Session) outcome(r *Response, failed error) error {
	if failed != nil {
		return failed
	}
	if r.Success {
		return nil
	}
	return &Error{Errno: syscall.Errno(max(r.Errno, 0)), Text: r.Message}
}

// maxAnswer is larger than any answer: they hold a few numbers and a line of text.
const maxAnswer = 64 << 10

func (s *Session) receive() (*Response, []*os.File, error) {
	b, files, err := linux.Receive(s.sock, maxAnswer, 1)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot hear CRIU: %w", err)
	}
	if len(b) == 0 {
		return nil, nil, s.gone(io.ErrUnexpectedEOF)
	}
	r := &Response{}
	if err := r.unmarshal(b); err != nil {
		closeFiles(files)
		return nil, nil, fmt.Errorf("cannot read the answer of CRIU: %w", err)
	}
	return r, files, nil
}

// gone is the error of a CRIU that has ended: with its last words.
func (s *Session) gone(err error) error {
	state, words := s.wait(), s.words()
	if words != "" {
		words = ": " + words
	}
	return fmt.Errorf("CRIU has ended (%s)%s: %w", state, words, err)
}

// words are the last lines of what CRIU wrote to standard error.
func (s *Session) words() string {
	return strings.Join(lastErrors(s.said, "", 3), "; ")
}

func (s *Session) wait() string {
	if s.reaped {
		return "before"
	}
	s.reaped = true
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.String()
}

// Version asks CRIU for its version; another request follows.
func (s *Session) Version() (Version, error) {
	r, err := s.Do(&Request{Type: version, KeepOpen: true}, nil)
	if err != nil {
		return Version{}, fmt.Errorf("cannot ask CRIU for its version: %w", err)
	}
	return r.Version, nil
}

// Features asks CRIU which of the features wanted this host has; another request follows.
func (s *Session) Features(wanted Features) (Features, error) {
	r, err := s.Do(&Request{Type: featureCheck, KeepOpen: true, Features: &wanted}, nil)
	if err != nil {
		return Features{}, fmt.Errorf("cannot ask CRIU what this host can do: %w", err)
	}
	return r.Features, nil
}

// Close ends the session, and waits for the end of CRIU.
func (s *Session) Close() {
	if s.sock < 0 {
		return
	}
	unix.Close(s.sock) // upon which it ends
	s.sock = -1
	s.wait()
	s.said.Close()
}

// Kill ends CRIU at once.
func (s *Session) Kill() {
	if !s.reaped {
		_ = s.cmd.Process.Kill()
	}
	s.Close()
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// AtLeast reports whether this is that version or a later one.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

func (v Version) String() string {
	s := strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor)
	if v.Sublevel > 0 {
		s += "." + strconv.Itoa(v.Sublevel)
	}
	return s
}
