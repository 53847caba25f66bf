package criu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
)

// A test binary that is started as `… swrk 3` plays CRIU: what it does is in the environment.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "swrk" {
		pretend(os.Getenv("PRETEND"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const sock = 3

// pretend serves requests as the script says.
func pretend(script string) {
	next := func() []byte {
		b, _, err := linux.Receive(sock, 1<<16, 0)
		if err != nil || len(b) == 0 {
			os.Exit(0)
		}
		return b
	}
	say := func(name string, fds ...int) {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err == nil {
			err = linux.Send(sock, b, fds)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	next()
	switch script {
	case "version":
		say("version.resp")
		next()
		say("restored.resp")
	case "notify":
		say("notify.resp", 4)
		answer := next()
		if string(answer) == "\x08\x06\x18\x01" {
			say("restored.resp")
		} else {
			say("failed.resp")
		}
	case "dies":
		fmt.Fprintln(os.Stderr, "first\n(00.1) last \x1b words")
		os.Exit(7)
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "garbage":
		_ = linux.Send(sock, []byte("\xff\xff"), nil)
	case "refuses":
		say("failed.resp")
	case "hangs":
		time.Sleep(time.Hour)
	}
}

func start(t *testing.T, script string, files ...*os.File) *Session {
	t.Helper()
	t.Setenv("PRETEND", script)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(self, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

func TestSessionServesSeveralRequests(t *testing.T) {
	s := start(t, "version")
	v, err := s.Version()
	if err != nil || v != (Version{4, 2, 1}) || v.String() != "4.2.1" {
		t.Fatalf("%v, %v", v, err)
	}
	r, err := s.Do(&Request{Type: Restore}, nil)
	if err != nil || r.Pid != 4712 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestNotification(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := start(t, "notify", file)
	var got Notification
	r, err := s.Do(&Request{Type: Restore}, func(n *Notification) error {
		got = *n
		n.Files = nil
		return nil
	})
	if err != nil || r.Pid != 4712 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got.Name != "post-restore" || got.Pid != 4711 || len(got.Files) != 1 {
		t.Fatalf("notified of %+v", got)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(got.Files[0].Fd()), &st); err != nil || st.Rdev != unix.Mkdev(1, 3) {
		t.Errorf("the descriptor that came along is %v, %v", st.Rdev, err)
	}
	got.Files[0].Close()
}

func TestFailedNotificationIsTheError(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	mine := errors.New("no")
	var kept *os.File
	_, err = start(t, "notify", file).Do(&Request{Type: Restore}, func(n *Notification) error {
		kept = n.Files[0]
		return mine
	})
	if !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	if kept.Close() == nil {
		t.Error("the descriptor that came along was left open")
	}
}

func TestEndings(t *testing.T) {
	for script, want := range map[string]string{
		"dies":    "CRIU has ended (exit status 7): first; last ? words: unexpected EOF",
		"killed":  "CRIU has ended (signal: killed): unexpected EOF",
		"garbage": "cannot read the answer of CRIU: not a message of CRIU's",
		"refuses": "Error (criu/x.c:1): no such thing: no such process",
	} {
		_, err := start(t, script).Do(&Request{Type: Dump}, nil)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", script, err, want)
		}
	}
	_, err := start(t, "refuses").Do(&Request{Type: Dump}, nil)
	if !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the errno of %v cannot be found", err)
	}
}

func TestKillEndsAHangingCRIU(t *testing.T) {
	s := start(t, "hangs")
	begin := time.Now()
	s.Kill()
	s.Kill() // again is nothing
	s.Close()
	if time.Since(begin) > 10*time.Second {
		t.Error("it was waited for")
	}
	if err := syscall.Kill(s.Pid(), 0); err == nil {
		t.Error("it lives")
	}
}

func TestFind(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{filepath.Join(dir, "criu"), filepath.Join(other, "criu")} {
		if err := os.WriteFile(name, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", ".::"+filepath.Join(dir, "missing")+":"+other)
	if got, err := Find(); err != nil || got != filepath.Join(other, "criu") {
		t.Errorf("found %q, %v", got, err)
	}
	t.Setenv("PATH", ".:bin")
	if got, err := Find(); !errors.Is(err, ErrMissing) {
		t.Errorf("found %q, %v", got, err)
	}
	if err := os.Chmod(filepath.Join(other, "criu"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", other)
	if got, err := Find(); !errors.Is(err, ErrMissing) {
		t.Errorf("found %q, %v", got, err)
	}
}

func TestLastErrors(t *testing.T) {
	dir := t.TempDir()
	long := "(00.3) Error " + strings.Repeat("x", 1000)
	text := "(00.1) Error one\n(00.1) fine\n(00.2) Error two \x1b[2J\xff\n" + long + "\n(00.4)      1: Error (criu/a.c:4): four\n"
	if err := os.WriteFile(filepath.Join(dir, "log"), []byte(strings.Repeat("(00.0) noise\n", 10000)+text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("log", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	got := LastErrors(d, "log", 3)
	want := []string{"Error two ?[2J?", "Error " + strings.Repeat("x", maxLine-len("Error ")) + "…", "1: Error (criu/a.c:4): four"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
	for _, name := range []string{"link", "fifo", "missing"} {
		if got := LastErrors(d, name, 3); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}
