package checkpoint

import (
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func TestMain(m *testing.M) { lab.Main(m) }

var check = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("criu", "check").CombinedOutput()
	return string(out), err
})

// bench is a runtime, as root, on a host where CRIU works.
func bench(t *testing.T) *lab.Runtime {
	t.Helper()
	need.Root(t)
	need.Tool(t, "criu")
	out, err := check()
	need.Feature(t, "criu", err == nil, "criu check fails: "+strings.ReplaceAll(out, "\n", "; "))
	return lab.New(t)
}

// counter counts, in memory only, to its standard output and to a file that it holds open.
// It waits without another process: one that ends just now CRIU may not get hold of.
const counter = `i=0; [ -p /tmp/wait ] || busybox mkfifo /tmp/wait; exec 3>/tmp/n 5<>/tmp/wait; while :; do i=$((i+1)); echo $i; echo $i >&3; read -t 0.02 -u 5 x; done`

// counting is a bundle whose program is counter.
func counting(t *testing.T, edits ...lab.Edit) *lab.Bundle {
	t.Helper()
	return lab.NewBundle(t, append([]lab.Edit{lab.Args("/bin/sh", "-c", counter)}, edits...)...).Busybox()
}

// A container whose standard output is a pipe to the test: of a file CRIU wants that it is
// as it was.
type container struct {
	ID  string
	Pid int
	t   *testing.T
	r   *lab.Runtime
	out sink
}

// launch runs a container.
func launch(t *testing.T, r *lab.Runtime, b *lab.Bundle, flags ...string) *container {
	t.Helper()
	return begin(t, r, r.ID(), append([]string{"run", "--detach", "--bundle", b.Dir}, flags...)...)
}

// restore restores a checkpoint, detached.
func restore(t *testing.T, r *lab.Runtime, b *lab.Bundle, id, images string, flags ...string) *container {
	t.Helper()
	return begin(t, r, id, append([]string{"restore", "--detach", "--bundle", b.Dir, "--image-path", images}, flags...)...)
}

func begin(t *testing.T, r *lab.Runtime, id string, args ...string) *container {
	t.Helper()
	c := &container{ID: id, t: t, r: r}
	cmd := r.Command(append(args, id)...)
	errs := &sink{}
	cmd.Stdout, cmd.Stderr = c.out.open(t), errs.open(t)
	res := r.Finish(cmd)
	for _, f := range []any{cmd.Stdout, cmd.Stderr} {
		f.(*os.File).Close()
	}
	if res.Code != 0 {
		lab.Eventually(func() bool { return errs.text() != "" })
		t.Fatalf("%v%s", res, errs.text())
	}
	if c.Pid = r.PidOf(id); c.Pid == 0 {
		t.Fatalf("%v: and it does not run", res)
	}
	return c
}

// A sink collects what comes out of a pipe.
type sink struct {
	mu  sync.Mutex
	got strings.Builder
}

// open makes the pipe, and returns where to write.
func (s *sink) open(t *testing.T) *os.File {
	t.Helper()
	near, far, err := os.Pipe()
	must(t, err)
	var done sync.WaitGroup
	done.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := near.Read(buf)
			s.mu.Lock()
			s.got.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() { near.Close(); done.Wait() })
	return far
}

func (s *sink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}

// text is what it has written so far.
func (c *container) text() string { return c.out.text() }

// numbers waits until it has written so many more lines, and returns all of them.
func (c *container) numbers(more int) (list []int) {
	c.t.Helper()
	more += strings.Count(c.text(), "\n")
	if !lab.Eventually(func() bool { return strings.Count(c.text(), "\n") >= more }) {
		c.t.Fatalf("never says %d lines, but:\n%s", more, c.text())
	}
	for line := range strings.Lines(c.text()) {
		if i, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			list = append(list, i)
		}
	}
	return list
}

// checkpoint saves it, and waits for its end unless it runs on.
func (c *container) checkpoint(images string, flags ...string) lab.Result {
	c.t.Helper()
	res := c.r.Do(append(append([]string{"checkpoint", "--image-path", images}, flags...), c.ID)...)
	reap()
	return res
}

func (c *container) state() specs.State {
	c.t.Helper()
	var s specs.State
	must(c.t, json.Unmarshal([]byte(c.r.Do("state", c.ID).OK().Stdout), &s))
	return s
}

// alive reports whether a process is there and no zombie.
func alive(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// reap takes the statuses of children that have ended.
func reap() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid == 0 {
			return
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
