package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	runc "github.com/containerd/go-runc"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/callers"
	"github.com/ocirt/ocirt/integration/internal/lab"
)

// client is go-runc, which containerd's shim and BuildKit use, with their options.
func client(t *testing.T, r *lab.Runtime) *runc.Runc {
	t.Helper()
	rootless := false
	return &runc.Runc{
		Command: r.Path, Root: r.Root, Log: filepath.Join(lab.Dir(t), "log.json"), LogFormat: runc.JSON,
		PdeathSignal: unix.SIGKILL, Rootless: &rootless,
	}
}

func soonContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lab.Patience)
	t.Cleanup(cancel)
	return ctx
}

// null is input and output that go nowhere.
func null(t *testing.T) runc.IO {
	t.Helper()
	stdio, err := runc.NewNullIO()
	must(t, err)
	t.Cleanup(func() { stdio.Close() })
	return stdio
}

// The life of a container, as the shim lives it.
func TestGoRuncLife(t *testing.T) {
	r := bench(t)
	c, ctx, id := client(t, r), soonContext(t), r.ID()
	b := sleeper(t, func(s *specs.Spec) { s.Annotations = map[string]string{"org.example.a": "b"} })
	pidFile := b.Dir + "/init.pid"
	must(t, c.Create(ctx, id, b.Dir, &runc.CreateOpts{IO: null(t), PidFile: pidFile, NoPivot: false}))
	pid, err := runc.ReadPidFile(pidFile)
	must(t, err)
	look := func(status string) *runc.Container {
		t.Helper()
		s, err := c.State(ctx, id)
		must(t, err)
		if s.Status != status || s.ID != id || s.Bundle != b.Dir || s.Annotations["org.example.a"] != "b" || time.Since(s.Created) > time.Minute {
			t.Errorf("want %s: %+v", status, s)
		}
		return s
	}
	if s := look("created"); s.Pid != pid {
		t.Errorf("%+v, pid file %d", s, pid)
	}
	must(t, c.Start(ctx, id))
	look("running")
	list, err := c.List(ctx)
	must(t, err)
	if len(list) != 1 || list[0].ID != id || list[0].Pid != pid {
		t.Errorf("list: %+v", list)
	}
	pids, err := c.Ps(ctx, id)
	if err != nil || !slices.Equal(pids, []int{pid}) {
		t.Errorf("ps: %d: %v", pids, err)
	}
	top, err := c.Top(ctx, id, "-o pid,comm")
	if err != nil || len(top.Processes) != 1 || !slices.Equal(top.Headers, []string{"PID", "COMMAND"}) || top.Processes[0][0] != fmt.Sprint(pid) {
		t.Errorf("top: %+v: %v", top, err)
	}
	must(t, c.Kill(ctx, id, int(unix.SIGKILL), nil))
	if !lab.Eventually(func() bool { s, err := c.State(ctx, id); return err == nil && s.Status == "stopped" }) {
		t.Fatal("it does not end")
	}
	if s := look("stopped"); s.Pid != 0 {
		t.Errorf("%+v", s)
	}
	must(t, c.Kill(ctx, id, int(unix.SIGKILL), &runc.KillOpts{All: true}))
	err = c.Kill(ctx, id, int(unix.SIGTERM), nil)
	if ended, _ := callers.NotFound(fmt.Sprint(err)); !ended {
		t.Errorf("kill of a dead one: %v", err)
	}
	must(t, c.Delete(ctx, id, nil))
	must(t, c.Delete(ctx, id, &runc.DeleteOpts{Force: true}))
	if _, err := c.State(ctx, id); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("%v", err)
	}
	if list, err := c.List(ctx); err != nil || len(list) != 0 {
		t.Errorf("list: %+v: %v", list, err)
	}
}

// What go-runc and the shim make of failures.
func TestGoRuncErrors(t *testing.T) {
	r := bench(t)
	c, ctx := client(t, r), soonContext(t)
	b := lab.NewBundle(t, lab.Args("/nosuch"))
	err := c.Create(ctx, r.ID(), b.Dir, nil)
	if err == nil || !strings.Contains(err.Error(), `exec: "/nosuch": stat /nosuch: no such file or directory`) || strings.Contains(err.Error(), "Usage") {
		t.Errorf("%v", err)
	}
	if msg, err := callers.LastError(read(t, c.Log)); err != nil || !strings.HasPrefix(msg, "ocirt create failed: unable to start container process: ") {
		t.Errorf("the shim finds %q: %v", msg, err)
	}
	if err := c.Start(ctx, "nobody"); err == nil || !strings.Contains(err.Error(), "container does not exist") {
		t.Errorf("%v", err)
	}
	if msg, err := callers.LastError(read(t, c.Log)); err != nil || !strings.HasPrefix(msg, "container does not exist") {
		t.Errorf("the shim finds %q: %v", msg, err)
	}
	if err := c.Checkpoint(ctx, "nobody", &runc.CheckpointOpts{ImagePath: b.Dir}); err == nil {
		t.Error("a checkpoint of nobody was made")
	}
	if msg, err := callers.LastError(read(t, c.Log)); err != nil || msg == "" {
		t.Errorf("after a checkpoint the shim finds %q: %v", msg, err)
	}
}

// BuildKit runs containers in the foreground, with pipes.
func TestGoRuncRun(t *testing.T) {
	r := bench(t)
	c, ctx := client(t, r), soonContext(t)
	pipes, err := runc.NewPipeIO(0, 0)
	must(t, err)
	defer pipes.Close()
	b := shell(t, `read x; echo "out $x"; echo err >&2; exit 41`)
	got := make(chan string, 2)
	for _, from := range []io.Reader{pipes.Stdout(), pipes.Stderr()} {
		go func() {
			data := make([]byte, 100)
			n, _ := from.Read(data)
			got <- string(data[:n])
		}()
	}
	_, err = io.WriteString(pipes.Stdin(), "in\n")
	must(t, err)
	id := r.ID()
	started := make(chan int, 1)
	status, err := c.Run(ctx, id, b.Dir, &runc.CreateOpts{IO: pipes, Started: started, ExtraArgs: []string{"--keep"}, NoPivot: true})
	var exit *runc.ExitError
	if status != 41 || !errors.As(err, &exit) || exit.Status != 41 {
		t.Errorf("status %d: %v", status, err)
	}
	both := []string{<-got, <-got}
	slices.Sort(both)
	if !slices.Equal(both, []string{"err\n", "out in\n"}) {
		t.Errorf("%q", both)
	}
	// It was to be kept.
	if s, err := c.State(ctx, id); err != nil || s.Status != "stopped" {
		t.Errorf("%+v: %v", s, err)
	}
	must(t, c.Delete(ctx, id, nil))
}

func TestGoRuncConsole(t *testing.T) {
	r := bench(t)
	c, ctx, id := client(t, r), soonContext(t), r.ID()
	socket, err := runc.NewTempConsoleSocket()
	must(t, err)
	defer socket.Close()
	b := shell(t, `stty size; tty; read x; echo "got $x"; sleep 1000`, func(s *specs.Spec) {
		s.Process.Terminal = true
		s.Process.ConsoleSize = &specs.Box{Height: 33, Width: 77}
	})
	for _, applet := range []string{"stty", "tty", "sleep"} {
		must(t, os.Symlink("busybox", b.Rootfs+"/bin/"+applet))
	}
	must(t, c.Create(ctx, id, b.Dir, &runc.CreateOpts{ConsoleSocket: socket, PidFile: b.Dir + "/init.pid"}))
	console, err := socket.ReceiveMaster()
	must(t, err)
	defer console.Close()
	must(t, c.Start(ctx, id))
	text := ""
	until := func(want string) {
		t.Helper()
		buf := make([]byte, 1000)
		for deadline := time.Now().Add(lab.Patience); !strings.Contains(text, want); {
			n, err := console.Read(buf)
			text += string(buf[:n])
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("%v: %q", err, text)
			}
		}
	}
	until("33 77\r\n/dev/pts/0\r\n")
	_, err = console.Write([]byte("typed\n"))
	must(t, err)
	until("got typed")
	must(t, c.Delete(ctx, id, &runc.DeleteOpts{Force: true}))
}

func TestGoRuncPidfd(t *testing.T) {
	r := bench(t)
	c, ctx, id := client(t, r), soonContext(t), r.ID()
	socket, err := runc.NewTempPidfdSocket()
	must(t, err)
	defer socket.Close()
	b := sleeper(t)
	must(t, c.Create(ctx, id, b.Dir, &runc.CreateOpts{IO: null(t), PidfdSocket: socket}))
	pidfd, err := socket.ReceivePidfd()
	must(t, err)
	defer pidfd.Close()
	must(t, unix.PidfdSendSignal(int(pidfd.Fd()), unix.SIGKILL, nil, 0))
	if !lab.Eventually(func() bool { s, err := c.State(ctx, id); return err == nil && s.Status == "stopped" }) {
		t.Error("it was not the container's process")
	}
	must(t, c.Delete(ctx, id, nil))
}

func TestGoRuncExec(t *testing.T) {
	r := bench(t)
	command(t, r, "exec")
	c, ctx := client(t, r), soonContext(t)
	container := r.Launch(sleeper(t))
	process := func(args ...string) specs.Process {
		return specs.Process{Args: args, Cwd: "/", Env: []string{"PATH=/"}}
	}
	pipes, err := runc.NewPipeIO(0, 0)
	must(t, err)
	defer pipes.Close()
	err = c.Exec(ctx, container.ID, process("/inside", "echo", "hello", "--", "exit", "9"), &runc.ExecOpts{IO: pipes})
	var exit *runc.ExitError
	if !errors.As(err, &exit) || exit.Status != 9 {
		t.Errorf("%v", err)
	}
	out := make([]byte, 100)
	n, _ := pipes.Stdout().Read(out)
	if string(out[:n]) != "hello\n" {
		t.Errorf("%q", out[:n])
	}

	file := lab.Dir(t) + "/exec.pid"
	must(t, c.Exec(ctx, container.ID, process("/inside", "sleep", "forever"), &runc.ExecOpts{IO: null(t), Detach: true, PidFile: file}))
	pid := execed(t, file)
	pids, err := c.Ps(ctx, container.ID)
	if err != nil || !slices.Contains(pids, pid) || !slices.Contains(pids, container.Pid) || len(pids) != 2 {
		t.Errorf("ps: %d: %v", pids, err)
	}

	log := lab.Dir(t) + "/exec.json"
	err = c.Exec(ctx, container.ID, process("/nosuch"), &runc.ExecOpts{IO: null(t), LogFile: log})
	if msg, logErr := callers.LastError(read(t, log)); err == nil || logErr != nil || !strings.HasPrefix(msg, "exec failed: ") || callers.MobyStatus(msg) != 127 {
		t.Errorf("%v; the shim finds %q: %v", err, msg, logErr)
	}
}

func TestGoRuncPause(t *testing.T) {
	r := bench(t)
	command(t, r, "pause")
	c, ctx := client(t, r), soonContext(t)
	container := r.Launch(sleeper(t))
	must(t, c.Pause(ctx, container.ID))
	if s, err := c.State(ctx, container.ID); err != nil || s.Status != "paused" {
		t.Errorf("%+v: %v", s, err)
	}
	must(t, c.Resume(ctx, container.ID))
	if s, err := c.State(ctx, container.ID); err != nil || s.Status != "running" {
		t.Errorf("%+v: %v", s, err)
	}
	if err := c.Resume(ctx, container.ID); err == nil || !strings.Contains(err.Error(), "container not paused") {
		t.Errorf("%v", err)
	}
}

func TestGoRuncStats(t *testing.T) {
	r := bench(t)
	command(t, r, "events")
	c, ctx := client(t, r), soonContext(t)
	limit := int64(30)
	container := r.Launch(sleeper(t, func(s *specs.Spec) {
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}
	}))
	stats, err := c.Stats(ctx, container.ID)
	for i := 0; i < 20 && errors.Is(err, os.ErrClosed); i++ {
		// go-runc waits for the command while it reads from it, by which os/exec closes the
		// pipe: what has not been read by then is lost.
		stats, err = c.Stats(ctx, container.ID)
	}
	must(t, err)
	if stats.Pids.Limit != 30 || stats.Pids.Current == 0 || stats.Cpu.Usage.Total == 0 || stats.Memory.Usage.Usage == 0 {
		t.Errorf("%+v", stats)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := c.Events(ctx, container.ID, time.Second)
	must(t, err)
	for range 2 {
		e := <-events
		if e == nil || e.Type != "stats" || e.ID != container.ID || e.Err != nil || e.Stats.Pids.Limit != 30 {
			t.Fatalf("%+v", e)
		}
	}
	// The stream ends with the container; go-runc itself may close it under its reader.
	container.Kill("9").OK()
	for e := range events {
		if e.Type != "stats" {
			if !strings.Contains(e.Err.Error(), "already closed") {
				t.Errorf("%+v", e)
			}
			break
		}
	}
}

func TestGoRuncUpdate(t *testing.T) {
	r := bench(t)
	command(t, r, "update")
	c, ctx := client(t, r), soonContext(t)
	limit := int64(30)
	container := r.Launch(sleeper(t, func(s *specs.Spec) {
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}
	}))
	more := int64(40)
	must(t, c.Update(ctx, container.ID, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &more}}))
	for _, pattern := range []string{"/sys/fs/cgroup/pids/", "/sys/fs/cgroup/"} {
		cgroup := read(t, fmt.Sprintf("/proc/%d/cgroup", container.Pid))
		for line := range strings.Lines(cgroup) {
			parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
			if data, err := os.ReadFile(pattern + parts[2] + "/pids.max"); err == nil && (parts[1] == "pids" || parts[1] == "") {
				if string(data) != "40\n" {
					t.Errorf("pids.max is %s", data)
				}
				return
			}
		}
	}
	t.Error("there is no pids.max")
}

func TestGoRuncFeaturesAndVersion(t *testing.T) {
	r := bench(t)
	c, ctx := client(t, r), soonContext(t)
	f, err := c.Features(ctx)
	must(t, err)
	if f.OCIVersionMin == "" || !slices.Contains(f.Hooks, "createRuntime") || f.Linux == nil {
		data, _ := json.Marshal(f)
		t.Errorf("%s", bytes.TrimSpace(data))
	}
	link := filepath.Join(lab.Dir(t), "runc")
	must(t, os.Symlink(r.Path, link))
	c.Command = link
	v, err := c.Version(ctx)
	if err != nil || v.Runc == "" || v.Commit == "" || v.Spec == "" {
		t.Errorf("%+v: %v", v, err)
	}
}
