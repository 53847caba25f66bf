package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ocirt/ocirt/runtime/ahead"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/store"
)

// attendanceName is the environment variable in which Attend leaves what TakeOver needs. It
// is believed only if the process is a child of this one.
const attendanceName = ahead.Attended

// An attendance is what is left of a process that has turned to attend a container. Numbers
// are descriptors but for the first one.
type attendance struct {
	pid             int // of the container's first process
	root, dir, lock int // the state directory, in it that of the container, and the lock's
	pipe            int // of signals that were caught
	conn, initRoot  int // to init, and its root, if the container is still being started; or -1
	id              string
}

func (a attendance) String() string {
	return fmt.Sprintf("%s=%d %d %d %d %d %d %d %s", attendanceName, a.pid, a.root, a.dir, a.lock, a.pipe, a.conn, a.initRoot, a.id)
}

// attended reads what String wrote.
func attended() (a attendance, ok bool) {
	text := os.Getenv(attendanceName)
	if text == "" {
		return a, false
	}
	n, err := fmt.Sscanf(text, "%d %d %d %d %d %d %d %s", &a.pid, &a.root, &a.dir, &a.lock, &a.pipe, &a.conn, &a.initRoot, &a.id)
	if n != 8 || err != nil || a.pid <= 0 {
		return a, false
	}
	err = unix.Waitid(unix.P_PID, a.pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return a, err == nil
}

// withoutAttendance is an environment without what an earlier Attend has left.
func withoutAttendance(env []string) []string {
	return slices.DeleteFunc(env, func(s string) bool { return strings.HasPrefix(s, attendanceName+"=") })
}

// Attended reports whether this process was one that attended a container, and has to go on
// by itself: see TakeOver.
func Attended() bool {
	_, ok := attended()
	return ok
}

// TakeOver returns the container that this process has attended, when it runs; the error is
// that of Start if it does not, and with it there is a container only if it has to be
// deleted. All signals are blocked; those that are waited for by os/signal come.
//
// A part of the container may have been deleted, or it may have been deleted by somebody
// else, and its id given to another: then only the exit status is left to be had.
func (rt *Runtime) TakeOver() (*Container, error) {
	a, ok := attended()
	if !ok {
		return nil, errors.New("this process has not attended a container")
	}
	os.Unsetenv(attendanceName)
	linux.SetProcessName(os.Args[0])
	for _, fd := range []int{a.root, a.dir, a.lock, a.pipe, a.conn, a.initRoot} {
		unix.CloseOnExec(fd)
	}
	if a.conn < 0 {
		unix.Close(a.lock)
		a.lock = -1
	}
	root, dir := store.Adopt(rt.root, a.root, a.dir, a.lock, a.id)
	c := &Container{
		rt: rt, root: root, dir: dir, rec: rt.remembered(dir, a),
		self: &created{init: launch.Restored(a.pid, nil)},
	}
	defer unix.Close(a.pipe)
	if a.conn >= 0 {
		defer c.dir.Unlock()
		if err := c.goOnStarting(a); err != nil {
			return c, err
		}
	}
	passRest(a.pipe, a.pid)
	return c, nil
}

// goOnStarting is the rest of Start.
func (c *Container) goOnStarting(a attendance) error {
	defer unix.Close(a.conn)
	var root *os.File
	if a.initRoot >= 0 {
		root = os.NewFile(uintptr(a.initRoot), "/proc/"+strconv.Itoa(a.pid)+"/root")
		defer root.Close()
	}
	b, err := c.bundle()
	if err != nil {
		return err
	}
	return c.released(a.conn, b, root)
}

// passRest passes the signals on that are left in the pipe.
func passRest(pipe, pid int) {
	for {
		var sig [4]byte
		n, err := unix.Read(pipe, sig[:])
		if err == unix.EINTR {
			continue
		}
		if n != len(sig) {
			return
		}
		_ = unix.Kill(pid, unix.Signal(binary.NativeEndian.Uint32(sig[:]))) // it may have ended
	}
}

// remembered is the record of a container that this process has made.
func (rt *Runtime) remembered(dir *store.Dir, a attendance) *store.Record {
	rec, err := dir.Load()
	if err != nil && !dir.Gone() {
		rec, err = rt.salvage(dir, a.id)
	}
	if err != nil || rec.Pid != a.pid {
		rec = &store.Record{ID: a.id, Phase: store.PhaseCreated, PidNamespace: true}
	}
	rec.Pid = a.pid
	return rec
}
