package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A Container is one that was created and can be looked at from outside.
type Container struct {
	ID  string
	Pid int
	r   *Runtime
	out *os.File
	err *os.File
}

// Create creates a container and fails the test if that does not work.
func (r *Runtime) Create(b *Bundle, flags ...string) *Container {
	r.t.Helper()
	c := &Container{ID: r.ID(), r: r, out: tempFile(r.t), err: tempFile(r.t)}
	r.t.Cleanup(func() { c.out.Close(); c.err.Close() })
	cmd := r.Command(append(append([]string{"create", "--bundle", b.Dir}, flags...), c.ID)...)
	cmd.Stdout, cmd.Stderr = c.out, c.err
	if res := r.Finish(cmd); res.Code != 0 {
		r.t.Fatalf("%v%s", res, contents(c.err))
	}
	c.Pid = c.State().Pid
	return c
}

// CreateFails tries to create a container and returns the failure; nothing of it may be
// there afterwards.
func (r *Runtime) CreateFails(b *Bundle, words ...string) Result {
	r.t.Helper()
	return r.Fails([]string{"create", "--bundle", b.Dir, r.ID()}, words...)
}

// Fails runs a command that is to fail, and to leave nothing: of no container of this
// runtime may there be a trace, and the mounts must be as they were.
func (r *Runtime) Fails(args []string, words ...string) Result {
	r.t.Helper()
	before := MountTable()
	res := r.Do(args...).Failed(words...)
	if after := MountTable(); os.Geteuid() == 0 && !slices.Equal(before, after) {
		r.t.Errorf("left behind: mounts were %q and are %q", before, after)
	}
	r.NothingLeft()
	return res
}

// Start starts it, and fails the test if that does not work.
func (c *Container) Start() *Container {
	c.r.t.Helper()
	c.r.Do("start", c.ID).OK()
	return c
}

// Launch creates and starts a container.
func (r *Runtime) Launch(b *Bundle, flags ...string) *Container {
	r.t.Helper()
	return r.Create(b, flags...).Start()
}

// State asks the runtime.
func (c *Container) State() specs.State {
	c.r.t.Helper()
	var s specs.State
	must(c.r.t, json.Unmarshal([]byte(c.r.Do("state", c.ID).OK().Stdout), &s))
	return s
}

// Kill sends a signal.
func (c *Container) Kill(signal string) Result {
	c.r.t.Helper()
	return c.r.Do("kill", c.ID, signal)
}

// Delete removes it.
func (c *Container) Delete(flags ...string) Result {
	c.r.t.Helper()
	return c.r.Do(append(append([]string{"delete"}, flags...), c.ID)...)
}

// Stdout is what its program has written so far.
func (c *Container) Stdout() string { return contents(c.out) }

// Stderr is the same of the standard error, after what `create` wrote there.
func (c *Container) Stderr() string { return contents(c.err) }

// Says waits until the standard output has this text.
func (c *Container) Says(text string) {
	c.r.t.Helper()
	c.until(fmt.Sprintf("says %q", text), func() bool { return strings.Contains(c.Stdout(), text) })
}

// Line waits until there are n lines of output, and returns the last of them.
func (c *Container) Line(n int) string {
	c.r.t.Helper()
	c.until(fmt.Sprintf("says %d lines", n), func() bool { return strings.Count(c.Stdout(), "\n") >= n })
	return strings.Split(c.Stdout(), "\n")[n-1]
}

// until polls, and fails the test when Patience is over.
func (c *Container) until(what string, done func() bool) {
	c.r.t.Helper()
	if !Eventually(done) {
		c.r.t.Fatalf("container %s never %s; it is %s and said:\n%s%s", c.ID, what, c.State().Status, c.Stdout(), c.Stderr())
	}
}

// Eventually polls until something is so, or Patience is over.
func Eventually(done func() bool) bool {
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// Wait waits for the end of the container's first process, our child since its parent has
// gone, and returns its status as a shell would.
func (c *Container) Wait() int {
	c.r.t.Helper()
	code := -1
	c.until("ended", func() bool {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(c.Pid, &ws, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR || err == nil && pid == 0:
			return false
		case err != nil:
			c.r.t.Fatalf("container %s: cannot wait for %d: %v", c.ID, c.Pid, err)
		case ws.Signaled():
			code = 128 + int(ws.Signal())
		default:
			code = ws.ExitStatus()
		}
		return true
	})
	return code
}

// Namespace is the path of a namespace of the container's first process.
func (c *Container) Namespace(kind specs.LinuxNamespaceType) string {
	return fmt.Sprintf("/proc/%d/ns/%s", c.Pid, ProcName(kind))
}

// ProcName is what /proc/PID/ns calls a kind of namespace.
func ProcName(kind specs.LinuxNamespaceType) string {
	switch kind {
	case specs.MountNamespace:
		return "mnt"
	case specs.NetworkNamespace:
		return "net"
	}
	return string(kind)
}

// HostNamespace is the tests' own namespace of a kind, such as "uts:[4026531838]".
func HostNamespace(kind specs.LinuxNamespaceType) string {
	link, _ := os.Readlink(filepath.Join("/proc/self/ns", ProcName(kind)))
	return link
}

// Host runs the checker outside of any container and returns what it prints.
func Host(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(theBench.inside, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("inside %q, on the host: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// PidOf asks the runtime for a container's first process; 0 if it is not there.
func (r *Runtime) PidOf(id string) int {
	r.t.Helper()
	var s specs.State
	_ = json.Unmarshal([]byte(r.Do("state", id).Stdout), &s)
	return s.Pid
}
