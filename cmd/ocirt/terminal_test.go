package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// pty makes a pseudo-terminal.
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

const panicEnv = "OCIRT_TEST_PANIC"

// A panic in any goroutine gives the user's terminal back first: the test is executed again,
// on a terminal of its own, and panics where it is told to.
func TestTerminalIsRestoredOnPanic(t *testing.T) {
	if where := os.Getenv(panicEnv); where != "" {
		panicIn(t, where)
		return
	}
	for _, where := range []string{"copying", "signals", "exec"} {
		_, slave := pty(t)
		before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestTerminalIsRestoredOnPanic$")
		cmd.Env = append(os.Environ(), panicEnv+"="+where)
		cmd.Stdin = slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "on purpose") || !strings.Contains(string(out), "was raw") {
			t.Errorf("%s: %v: %s", where, err, out)
		}
		after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil || *after != *before {
			t.Errorf("%s: the terminal was %+v and is %+v (%v)", where, before, after, err)
		}
	}
}

func panicIn(t *testing.T, where string) {
	master, _ := pty(t)
	term, err := openTerminal(master)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil && a.Lflag&unix.ICANON == 0 {
		os.Stdout.WriteString("was raw\n")
	}
	switch where {
	case "copying":
		go func() {
			defer term.restoreOnPanic()
			panic("on purpose")
		}()
		select {}
	case "signals":
		s := (&app{}).catchSignals(true)
		s.forward(func(unix.Signal) error { panic("on purpose") }, term)
		_ = unix.Kill(unix.Getpid(), unix.SIGUSR1)
		select {}
	case "exec":
		x := &execution{}
		defer func() { x.terminal.restore() }()
		x.terminal = term
		panic("on purpose")
	}
}
