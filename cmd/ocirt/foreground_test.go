package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/spec"
)

// patience is how long a test waits for something that should take a moment.
const patience = 20 * time.Second

// A call is one `ocirt run` in the foreground.
type call struct {
	*exec.Cmd
	state, id string
}

// runOf prepares `ocirt run` of the program inside with these arguments.
func runOf(t *testing.T, change func(*spec.Bundle), args ...string) *call {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("root: it makes containers without a user namespace")
	}
	dir := t.TempDir()
	bundle := filepath.Join(dir, "bundle")
	if err := makeBundle(bundle, buildInside(t), change, args...); err != nil {
		t.Fatal(err)
	}
	c := &call{state: filepath.Join(dir, "state"), id: "ocirt-test-" + strconv.Itoa(os.Getpid()) + "-" + t.Name()}
	t.Cleanup(func() { removeAll(t, c.state) })
	c.Cmd = exec.CommandContext(t.Context(), "ocirt", "--root", c.state, "--debug", "--log", filepath.Join(dir, "log"), "run", "--bundle", bundle, c.id)
	return c
}

// status waits for the end of the call and returns its exit status.
func (c *call) status(t *testing.T) int {
	t.Helper()
	timer := time.AfterFunc(patience, func() {
		t.Error("ocirt run does not end")
		_ = c.Process.Kill()
	})
	defer timer.Stop()
	var exit *exec.ExitError
	if err := c.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode()
}

func withTerminal(b *spec.Bundle) {
	b.Spec.Process.Terminal = true
}

func TestRunForwardsSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			c := runOf(t, nil, "signal")
			c.id = strings.NewReplacer(" ", "-", "/", "-").Replace(c.id)
			c.Args[len(c.Args)-1] = c.id
			lines := start(t, c)
			lines.want(t, "ready")
			if err := c.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			lines.want(t, "got "+strconv.Itoa(int(sig)))
			if got := c.status(t); got != 0 {
				t.Errorf("exit status %d", got)
			}
		})
	}
}

// A signal while the container is being made ends the call when it has been made, and
// nothing is left; the program never runs.
func TestRunInterruptedWhileItCreates(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			c := runOf(t, func(b *spec.Bundle) {
				send := []string{"sh", "-c", "kill -WINCH $PPID && kill -" + strconv.Itoa(int(sig)) + " $PPID && sleep 0.1"}
				b.Spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: send}}}
			}, "signal")
			c.id = strings.ReplaceAll(c.id, "/", "-")
			c.Args[len(c.Args)-1] = c.id
			out, err := c.CombinedOutput()
			ws, ok := c.ProcessState.Sys().(syscall.WaitStatus)
			if !ok || !ws.Signaled() || ws.Signal() != sig || len(out) > 0 {
				t.Errorf("%v, %q, want an end by %v and no word", err, out, sig)
			}
			if left, _ := os.ReadDir(c.state); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// output is the lines that a call prints.
type output struct{ lines chan string }

func start(t *testing.T, c *call) output {
	t.Helper()
	pipe, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return linesOf(pipe)
}

func linesOf(r io.Reader) output {
	o := output{make(chan string, 100)}
	go func() {
		defer close(o.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			o.lines <- strings.TrimRight(s.Text(), "\r")
		}
	}()
	return o
}

func (o output) want(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-o.lines:
		if got != want {
			t.Fatalf("printed %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("nothing was printed, want %q", want)
	}
}

func TestRunOfAKilledContainer(t *testing.T) {
	c := runOf(t, nil, "sleep")
	start(t, c).want(t, "ready")
	if out, err := exec.Command("ocirt", "--root", c.state, "kill", c.id, "KILL").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := c.status(t); got != 128+9 {
		t.Errorf("exit status %d, want 137", got)
	}
	if left, _ := os.ReadDir(c.state); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRunReapsOrphans(t *testing.T) {
	c := runOf(t, func(b *spec.Bundle) {
		// Without a pid namespace orphans go to the nearest sub-reaper, not to init.
		l := b.Spec.Linux
		l.Namespaces = slices.DeleteFunc(l.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.PIDNamespace })
		b.Spec.Mounts[0] = specs.Mount{Destination: "/proc", Type: "none", Source: "/proc", Options: []string{"rbind"}}
		l.MaskedPaths, l.ReadonlyPaths = nil, nil
	}, "orphan")
	out, err := c.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	log, err := os.ReadFile(filepath.Join(filepath.Dir(c.state), "log"))
	if err != nil || !bytes.Contains(log, []byte("reaped an orphan")) {
		t.Errorf("no orphan was reaped (%v):\n%s", err, log)
	}
}

func TestRunCopiesAllOutputOfATerminal(t *testing.T) {
	const n = 50_000
	c := runOf(t, withTerminal, "lines", strconv.Itoa(n))
	_, c.Stdin = openPty(t, 24, 80)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %.200s", err, out)
	}
	if got := bytes.Count(out, []byte("\r\n")); got != n || !bytes.HasSuffix(out, []byte("\n"+strconv.Itoa(n-1)+"\r\n")) {
		t.Errorf("%d lines of %d arrived, ending in %q", got, n, out[max(0, len(out)-20):])
	}
}

func TestRunWithATerminal(t *testing.T) {
	c := runOf(t, withTerminal, "size")
	master, slave := openPty(t, 33, 101)
	before := attributes(t, slave)
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := linesOf(master)
	lines.want(t, "size 33x101")
	if now := attributes(t, slave); now.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG) != 0 {
		t.Errorf("the terminal is not in raw mode: %#x", now.Lflag)
	}
	resize(t, master, 44, 99)
	lines.want(t, "size 44x99")
	resize(t, master, 45, 99) // ends the program
	if got := c.status(t); got != 0 {
		t.Errorf("exit status %d", got)
	}
	if after := attributes(t, slave); !reflect.DeepEqual(before, after) {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
}

// A program that cannot be executed must not leave the user's terminal in raw mode.
func TestRunRestoresTheTerminalWhenStartFails(t *testing.T) {
	c := runOf(t, func(b *spec.Bundle) {
		b.Spec.Process.Terminal = true
		b.Spec.Process.Args = []string{"/bin/text"}
		if err := os.WriteFile(filepath.Join(b.Dir, "rootfs", "bin", "text"), []byte("#!/nosuch\n"), 0o755); err != nil {
			t.Error(err)
		}
	})
	_, slave := openPty(t, 33, 101)
	before := attributes(t, slave)
	c.Stdin = slave
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "ocirt run failed: unable to start container process: ") || !strings.Contains(string(out), "exec /bin/text: no such file or directory") {
		t.Errorf("%v: %s", err, out)
	}
	if after := attributes(t, slave); !reflect.DeepEqual(before, after) {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
	if left, _ := os.ReadDir(c.state); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// openPty makes a pseudo-terminal of a size.
func openPty(t *testing.T, rows, columns uint16) (master, slave *os.File) {
	t.Helper()
	master, slave = pty(t)
	resize(t, master, rows, columns)
	return master, slave
}

func resize(t *testing.T, master *os.File, rows, columns uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
}

func attributes(t *testing.T, f *os.File) *unix.Termios {
	t.Helper()
	a, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
