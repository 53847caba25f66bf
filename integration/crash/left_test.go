package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	defer reaping()()
	var wrong []string
	want := func(ok bool, res lab.Result) {
		if !ok {
			wrong = append(wrong, res.String())
		}
	}
	res := a.r.Do("state", a.id)
	want(res.Code == 0 || res.Code == 1 && strings.Contains(res.Stderr, "does not exist"), res)
	res = a.r.Do("list")
	want(res.Code == 0, res)
	for range 2 {
		res = a.r.Do("delete", "--force", a.id)
		want(res.Code == 0, res)
	}
	return append(wrong, a.left()...)
}

// reaping plays the part that an engine's monitor has on a host: it takes the statuses of
// orphans, until stop is called. A process in a container's pid namespace that nobody waits
// for keeps the namespace's init from ending.
func reaping() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			for _, pid := range children() {
				if orphan(pid) {
					_, _ = unix.Wait4(pid, nil, unix.WNOHANG|unix.WALL, nil)
				}
			}
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

// orphan tells a dead orphan from a command that a test waits for, which leads a process
// group in the test's own session, and from what a tracer waits for.
func orphan(pid int) bool {
	stat := read(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 4 || fields[0] != "Z" {
		return false
	}
	if _, tracer, _ := strings.Cut(read(fmt.Sprintf("/proc/%d/status", pid)), "TracerPid:\t"); !strings.HasPrefix(tracer, "0\n") {
		return false
	}
	session, err := unix.Getsid(0)
	return err == nil && (fields[2] != strconv.Itoa(pid) || fields[3] != strconv.Itoa(session))
}
