package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/ocirt/ocirt/internal/need"
	"golang.org/x/sys/unix"
)

func identify(t *testing.T, pid int) ProcessID {
	t.Helper()
	id, err := Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func alive(t *testing.T, p ProcessID) (byte, bool) {
	t.Helper()
	state, ok, err := p.Alive()
	if err != nil {
		t.Fatal(err)
	}
	return state, ok
}

func TestProcessLivesAndDies(t *testing.T) {
	c := exec.Command("/bin/sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Wait() }()
	defer func() { _ = c.Process.Kill() }()
	id := identify(t, c.Process.Pid)
	if id.Pid != c.Process.Pid || id.Start == 0 || len(id.Boot) != 36 {
		t.Errorf("identity %+v", id)
	}
	if _, ok := alive(t, id); !ok {
		t.Error("a running process counts as dead")
	}
	fd, err := id.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	// Not reaped yet: a zombie.
	deadline := time.Now().Add(5 * time.Second)
	for state := byte(0); state != 'Z'; {
		if state, _ = alive(t, id); time.Now().After(deadline) {
			t.Fatalf("state %q instead of a zombie", state)
		}
	}
	if state, ok := alive(t, id); ok {
		t.Errorf("a zombie (%q) counts as alive", state)
	}
	_ = c.Wait()
	if _, ok := alive(t, id); ok {
		t.Error("a reaped process counts as alive")
	}
	if fd, err := id.Open(); !errors.Is(err, unix.ESRCH) {
		t.Errorf("opened a process that has gone: %d, %v", fd, err)
	}
}

func TestProcessOfAnotherTime(t *testing.T) {
	me := identify(t, os.Getpid())
	if _, ok := alive(t, me); !ok {
		t.Fatal("this test counts as dead")
	}
	for name, other := range map[string]ProcessID{
		"start time altered": {me.Pid, me.Start + 1, me.Boot},
		"another boot":       {me.Pid, me.Start, "00000000-0000-0000-0000-000000000000"},
		"no boot":            {me.Pid, me.Start, ""},
		"no process":         {0, me.Start, me.Boot},
		"negative":           {-1, me.Start, me.Boot},
		"host's init":        {1, me.Start, me.Boot},
		"empty":              {},
	} {
		if _, ok := alive(t, other); ok {
			t.Errorf("%s: counts as alive", name)
		}
		if fd, err := other.Open(); !errors.Is(err, unix.ESRCH) {
			t.Errorf("%s: opened: %d, %v", name, fd, err)
		}
	}
}

// A process whose first thread has ended looks like a zombie and is none.
func TestProcessWithoutItsFirstThread(t *testing.T) {
	c := startHelper(t, "headless")
	id := identify(t, c.Process.Pid)
	deadline := time.Now().Add(5 * time.Second)
	for {
		state, ok := alive(t, id)
		if !ok {
			t.Fatalf("counts as dead in state %q", state)
		}
		if state == 'Z' {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the first thread did not end: state %q", state)
		}
	}
	_ = c.Process.Kill()
	for time.Now().Before(deadline) {
		if _, ok := alive(t, id); !ok {
			return
		}
	}
	t.Error("counts as alive after SIGKILL")
}

func TestProcessNumberUsedAgain(t *testing.T) {
	need.Root(t)
	if !inNamespaces(t, unix.CLONE_NEWPID) {
		return
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	first := exec.Command("/bin/sleep", "60")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	id := identify(t, first.Process.Pid)
	_ = first.Process.Kill()
	_ = first.Wait()
	time.Sleep(30 * time.Millisecond) // start times count in ticks of 10 ms
	for range 100 {
		err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(id.Pid-1)), 0)
		if err != nil {
			need.Feature(t, "ns_last_pid", false, err.Error())
		}
		second := exec.Command("/bin/sleep", "60")
		if err := second.Start(); err != nil {
			t.Fatal(err)
		}
		same := second.Process.Pid == id.Pid
		if same {
			if state, ok := alive(t, id); ok {
				t.Errorf("the process that took the number counts as the old one, state %q", state)
			}
			if fd, err := id.Open(); !errors.Is(err, unix.ESRCH) {
				t.Errorf("opened the process that took the number: %d, %v", fd, err)
			}
		}
		_ = second.Process.Kill()
		_ = second.Wait()
		if same {
			return
		}
	}
	t.Fatal("the number was never used again")
}

func TestParseStat(t *testing.T) {
	const rest = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 %s 18 %s 20 21"
	line := func(name, threads, start string) string {
		return "42 (" + name + ") S" + fmt.Sprintf(rest, threads, start)
	}
	for _, name := range []string{"sh", "a b", ") R 1 1", "\n", "", "((("} {
		st, err := parseStat([]byte(line(name, "7", "12345")))
		if err != nil || st != (stat{state: 'S', threads: 7, start: 12345}) {
			t.Errorf("%q: %+v, %v", name, st, err)
		}
	}
	for _, bad := range []string{"", "42 (sh", "42 (sh) S 1 2 3", line("sh", "x", "1"), line("sh", "1", "-1")} {
		if st, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q read as %+v", bad, st)
		}
	}
}
