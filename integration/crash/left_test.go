package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// children are our own, zombies included, sorted.
func children() []int {
	var list []int
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range files {
		for field := range strings.FieldsSeq(read(f)) {
			if pid, err := strconv.Atoi(field); err == nil {
				list = append(list, pid)
			}
		}
	}
	slices.Sort(list)
	return list
}

// left says what there still is of the container. A process that has been killed gets two
// seconds to go.
func (a *arena) left() []string {
	var found []string
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
		found = found[:0]
		for _, pid := range children() {
			if slices.Contains(a.own, pid) {
				continue
			}
			if got, _ := unix.Wait4(pid, nil, unix.WNOHANG|unix.WALL, nil); got != pid {
				found = append(found, describe(pid))
			}
		}
		if len(found) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, g := range a.groups {
		if unix.Access(g, unix.F_OK) == nil {
			found = append(found, "cgroup "+g)
		}
	}
	entries, _ := os.ReadDir(a.r.Root)
	for _, e := range entries {
		if e.Name() != filler {
			found = append(found, "state "+e.Name())
		}
	}
	if now := read("/proc/self/mountinfo"); now != a.mounts {
		found = append(found, "mounts changed")
	}
	return found
}

func describe(pid int) string {
	dir := fmt.Sprintf("/proc/%d/", pid)
	return fmt.Sprintf("process %d %q, in %s: %s", pid, read(dir+"cmdline"), read(dir+"wchan"), read(dir+"stat"))
}

// sweep removes what is left, so that one point's fault is not the next one's.
func (a *arena) sweep() {
	for _, pid := range children() {
		if !slices.Contains(a.own, pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
			_, _ = unix.Wait4(pid, nil, unix.WALL, nil)
		}
	}
	for _, g := range a.groups {
		_ = unix.Rmdir(g)
	}
	_ = os.RemoveAll(filepath.Join(a.r.Root, a.id))
}

// settle brings everything to its end by the runtime's own means, and says what went wrong
// on the way.
func (a *arena) settle() []string {
	defer a.reaping()()
	var wrong []string
	want := func(ok bool, res lab.Result) {
		if !ok {
			wrong = append(wrong, res.String())
		}
	}
	res := a.do("state", a.id)
	want(res.Code == 0 || res.Code == 1 && strings.Contains(res.Stderr, "does not exist"), res)
	res = a.do("list")
	want(res.Code == 0, res)
	for range 2 {
		res = a.do("delete", "--force", a.id)
		want(res.Code == 0, res)
	}
	return append(wrong, a.left()...)
}

// reaping plays the part that an engine's monitor has on a host: it takes the statuses of
// orphans, until stop is called. A process in a container's pid namespace that nobody waits
// for keeps the namespace's init from ending.
func (a *arena) reaping() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			a.reap()
			select {
			case <-quit:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// reap waits for dead orphans: not for commands, nor for what a tracer waits for.
func (a *arena) reap() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, pid := range children() {
		if !a.commands[pid] && !slices.Contains(a.own, pid) && strings.Contains(read(fmt.Sprintf("/proc/%d/status", pid)), "TracerPid:\t0\n") {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG|unix.WALL, nil)
		}
	}
}

// start starts a command that is not to be reaped.
func (a *arena) start(cmd *exec.Cmd) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := cmd.Start()
	if err == nil {
		a.commands[cmd.Process.Pid] = true
	}
	return err
}

// ended takes back what start did.
func (a *arena) ended(cmd *exec.Cmd) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.commands, cmd.Process.Pid)
}

// do is lab's Do while orphans are being reaped.
func (a *arena) do(args ...string) lab.Result {
	cmd := a.r.Command(args...)
	res := lab.Result{Code: -1}
	files := [2]*os.File{}
	for i := range files {
		f, err := os.CreateTemp(a.b.Dir, "do")
		if err != nil {
			return lab.Result{Code: -1, Stderr: err.Error()}
		}
		defer f.Close()
		defer os.Remove(f.Name())
		files[i] = f
	}
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	if err := a.start(cmd); err != nil {
		return lab.Result{Code: -1, Stderr: err.Error()}
	}
	late := time.AfterFunc(lab.Patience, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	late.Stop()
	a.ended(cmd)
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if res.Code = ws.ExitStatus(); ws.Signaled() {
		res.Code = 128 + int(ws.Signal())
	}
	res.Stdout, res.Stderr = read(files[0].Name()), fmt.Sprintf("%q: %s", args, read(files[1].Name()))
	return res
}
