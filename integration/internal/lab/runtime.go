package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// Patience is how long any command of a runtime may take: only a test that fails waits so
// long, and in the virtual machine everything takes 20 times its time.
const Patience = time.Minute

// Flags is the environment variable with global flags for every command, such as
// --systemd-cgroup.
const Flags = "OCIRT_TEST_FLAGS"

// A Runtime is the program under test with a state directory of its own. When the test
// ends, whatever it made is deleted by force and anything that is left then is an error.
type Runtime struct {
	Path string
	Root string   // the state directory
	Env  []string // of its commands
	User int      // who runs it: 0, or an ordinary user's id, who has a group of the same id
	Wrap []string // a program and arguments that are to execute the runtime, such as unshare

	t      testing.TB
	before *snapshot
	mu     sync.Mutex
	ids    []string
}

// New puts the runtime on the bench.
func New(t testing.TB) *Runtime {
	t.Helper()
	r := &Runtime{Path: theBench.runtime, User: os.Geteuid(), t: t}
	r.before = look(t, r.Path)
	// Registered before the folders are made: it runs after they have gone.
	t.Cleanup(r.assertNothingLeft)
	r.Root = filepath.Join(Dir(t), "state")
	must(t, os.Mkdir(r.Root, 0o711))
	r.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/"}
	for _, name := range []string{"XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		if value := os.Getenv(name); value != "" {
			r.Env = append(r.Env, name+"="+value)
		}
	}
	t.Cleanup(r.cleanUp)
	return r
}

// NewAs puts it there to be run by an ordinary user, which needs root. If the tests are
// run by an ordinary user it is New.
func NewAs(t testing.TB, uid int) *Runtime {
	t.Helper()
	if os.Geteuid() == 0 {
		need.Feature(t, "cgroupfs", !strings.Contains(os.Getenv(Flags), "systemd"), "this user has no systemd")
	}
	r := New(t)
	if os.Geteuid() != 0 {
		return r
	}
	r.User = uid
	run := filepath.Join(Dir(t), "run")
	must(t, os.Mkdir(run, 0o700))
	must(t, os.Chown(run, uid, uid))
	must(t, os.Chown(r.Root, uid, uid))
	r.Env = append(r.Env, "XDG_RUNTIME_DIR="+run)
	return r
}

// Ours reports whether the program is ocirt: whether its own words can be expected.
func (r *Runtime) Ours() bool { return strings.HasPrefix(filepath.Base(r.Path), "ocirt") }

var serial atomic.Int64 //nolint:gochecknoglobals // ids must differ in all tests of a process

// ID makes up the id of a container that nobody else has.
func (r *Runtime) ID() string {
	id := fmt.Sprintf("lab-%d-%d", os.Getpid(), serial.Add(1))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = append(r.ids, id)
	return id
}

// A Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Code           int // exit status; 128 and the number of the signal that ended it
	args           []string
	t              testing.TB
}

func (r Result) String() string {
	return fmt.Sprintf("%q: status %d\n%s%s", r.args, r.Code, r.Stdout, r.Stderr)
}

// OK fails the test unless the command succeeded.
func (r Result) OK() Result {
	r.t.Helper()
	if r.Code != 0 {
		r.t.Fatalf("%v", r)
	}
	return r
}

// Failed fails the test unless the command failed with the status of an error, and said
// all of words on its standard error.
func (r Result) Failed(words ...string) Result {
	r.t.Helper()
	if r.Code != 1 {
		r.t.Fatalf("want an error, got %v", r)
	}
	for _, w := range words {
		if !strings.Contains(r.Stderr, w) {
			r.t.Errorf("error does not say %q: %s", w, r.Stderr)
		}
	}
	return r
}

// Lines are the lines of the standard output.
func (r Result) Lines() []string {
	return strings.Split(strings.TrimRight(r.Stdout, "\n"), "\n")
}

// Command prepares a command of the runtime. What it starts can be stopped with its
// process group.
func (r *Runtime) Command(args ...string) *exec.Cmd {
	line := slices.Concat(r.Wrap, []string{r.Path, "--root", r.Root}, strings.Fields(os.Getenv(Flags)), args)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = r.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if r.User != os.Geteuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(r.User), Gid: uint32(r.User)}
	}
	return cmd
}

// Do runs a command to its end. Its output goes to files, because a container that it
// leaves behind may hold it open.
func (r *Runtime) Do(args ...string) Result {
	r.t.Helper()
	return r.Finish(r.Command(args...))
}

// Finish runs a prepared command to its end. It is killed, and the test fails, when
// Patience is over. Standard output and error are collected if the command does not send
// them elsewhere.
func (r *Runtime) Finish(cmd *exec.Cmd) Result {
	r.t.Helper()
	return r.Begin(cmd).End()
}

// A Running command of the runtime.
type Running struct {
	Cmd       *exec.Cmd
	out, errs *os.File
	t         testing.TB
	ended     bool
}

// Begin starts a prepared command and does not wait for it. If the test ends before it,
// it is killed.
func (r *Runtime) Begin(cmd *exec.Cmd) *Running {
	r.t.Helper()
	run := &Running{Cmd: cmd, out: tempFile(r.t), errs: tempFile(r.t), t: r.t}
	if cmd.Stdout == nil {
		cmd.Stdout = run.out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = run.errs
	}
	if err := cmd.Start(); err != nil {
		run.close()
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if !run.ended {
			_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
			_ = cmd.Wait()
			run.close()
		}
	})
	return run
}

func (run *Running) close() {
	run.ended = true
	run.out.Close()
	run.errs.Close()
}

// Says waits until the standard output has this text.
func (run *Running) Says(text string) {
	run.t.Helper()
	if !Eventually(func() bool { return strings.Contains(contents(run.out), text) }) {
		run.t.Fatalf("%q never says %q, but:\n%s%s", run.Cmd.Args, text, contents(run.out), contents(run.errs))
	}
}

// End waits for the command.
func (run *Running) End() Result {
	run.t.Helper()
	res := Result{args: run.Cmd.Args, t: run.t}
	err := waitFor(run.Cmd)
	res.Stdout, res.Stderr = contents(run.out), contents(run.errs)
	run.close()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		run.t.Fatalf("%q: still running after %v\n%s%s", run.Cmd.Args, Patience, res.Stdout, res.Stderr)
	case errors.As(err, &exit):
		ws := exit.Sys().(syscall.WaitStatus)
		res.Code = ws.ExitStatus()
		if ws.Signaled() {
			res.Code = 128 + int(ws.Signal())
		}
	case err != nil:
		run.t.Fatalf("%q: %v", run.Cmd.Args, err)
	}
	return res
}

// waitFor waits for a command's end, or kills it.
func waitFor(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(Patience):
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		<-done
		return context.DeadlineExceeded
	}
}

// tempFile is a file without a name.
func tempFile(t testing.TB) *os.File {
	t.Helper()
	f, err := os.CreateTemp("", "ocirt-lab-") //nolint:usetesting // it is removed at once
	must(t, err)
	must(t, os.Remove(f.Name()))
	return f
}

func contents(f *os.File) string {
	var b bytes.Buffer
	buf := make([]byte, 32<<10)
	for at := int64(0); ; {
		n, err := f.ReadAt(buf, at)
		b.Write(buf[:n])
		at += int64(n)
		if err != nil {
			return b.String()
		}
	}
}

// Run runs a container in the foreground, to its end.
func (r *Runtime) Run(b *Bundle, flags ...string) Result {
	r.t.Helper()
	return r.Do(append(append([]string{"run", "--bundle", b.Dir}, flags...), r.ID())...)
}

// Report runs a container whose program is the checker's "report", and returns it.
func (r *Runtime) Report(b *Bundle, flags ...string) *Report {
	r.t.Helper()
	return ParseReport(r.t, r.Run(b, flags...).OK().Stdout)
}
