package crash

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The roles of the processes that a command of the runtime consists of.
const (
	command = "ocirt"   // the command itself, all its threads
	child   = "child"   // a child of it before execve
	initer  = "init"    // the container's first process and its helpers, before their own execve
	builder = "builder" // ocirt executed again to build in a user namespace
)

// A blow is what happens to a process at one of its system calls. The zero blow happens to
// nobody: the command runs to its end, and its calls are counted.
type blow struct {
	role  string
	at    int           // kill at this stop (1: first entry, 2: its exit, ...), or fail this call
	errno syscall.Errno // 0: SIGKILL
}

func (b blow) String() string {
	if b.errno != 0 {
		return fmt.Sprintf("%s call %d fails with %s", b.role, b.at, unix.ErrnoName(b.errno))
	}
	return fmt.Sprintf("%s killed at stop %d", b.role, b.at)
}

// A traced is how a command ended that was traced.
type traced struct {
	stops  map[string]int // system call entries and exits by role
	calls  map[string]int // entries only
	struck bool           // the blow fell
	call   int64          // number of the call it fell on
	hung   bool           // the command did not end in time
	status unix.WaitStatus
}

const traceOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK |
	unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL

// A task is a thread that is being traced.
type task struct {
	tgid   int
	role   string
	inCall bool
	fresh  bool // the SIGSTOP with which every new thread begins has not been seen yet
	freed  bool // it is let go at the next SIGSTOP, which is on its way
	fail   bool // the call it is in has been replaced by a failure
}

// A tracer follows a command and all it starts, but for programs that are not the
// runtime's own.
type tracer struct {
	blow
	traced
	start   func(*exec.Cmd) error
	main    int
	tasks   map[int]*task
	early   map[int]bool // threads seen before the event that announces them
	count   bool         // calls still have to be stopped at
	freeing bool         // everybody is being let go
	hangs   atomic.Bool
}

// trace runs a command, which start starts, with a blow.
func trace(cmd *exec.Cmd, start func(*exec.Cmd) error, b blow, patience time.Duration) (traced, error) {
	t := &tracer{blow: b, start: start, tasks: map[int]*task{}, early: map[int]bool{}, count: true}
	t.stops, t.calls = map[string]int{}, map[string]int{}
	done := make(chan error)
	go func() {
		// All of ptrace(2) must come from one thread, the parent of the command. It ends
		// with the goroutine, and with it whatever it still traces.
		runtime.LockOSThread()
		done <- t.run(cmd, patience)
	}()
	err := <-done
	return t.traced, err
}

func (t *tracer) run(cmd *exec.Cmd, patience time.Duration) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	if err := t.start(cmd); err != nil {
		return err
	}
	t.main = cmd.Process.Pid
	var ws unix.WaitStatus
	if _, err := unix.Wait4(t.main, &ws, unix.WALL, nil); err != nil || !ws.Stopped() {
		return fmt.Errorf("no stop at execve: %v %v", ws, err)
	}
	if err := unix.PtraceSetOptions(t.main, traceOptions); err != nil {
		return fmt.Errorf("cannot set options: %w", err)
	}
	watch := time.AfterFunc(patience, func() {
		t.hangs.Store(true)
		_ = unix.Kill(t.main, unix.SIGQUIT) // a Go program prints its stacks
		time.Sleep(time.Second)
		_ = unix.Kill(t.main, unix.SIGKILL)
	})
	defer watch.Stop()
	t.tasks[t.main] = &task{tgid: t.main, role: command}
	t.resume(t.main, 0)
	err := t.follow()
	t.hung = t.hangs.Load()
	return err
}

// follow handles stops until nobody is traced any more.
func (t *tracer) follow() error {
	for len(t.tasks) > 0 {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ECHILD:
			return nil
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case !ws.Stopped():
			t.ended(tid, ws)
			continue
		}
		switch {
		case t.tasks[tid] != nil:
			t.stopped(tid, ws)
		case t.struck || t.freeing:
			t.adopt(tid)
		default:
			t.early[tid] = true
		}
	}
	return nil
}

// firstStop is how a new thread stops.
const firstStop = unix.WaitStatus(0x7f | int(unix.SIGSTOP)<<8)

// adopt takes a thread in whose parent may have been killed before it could announce it.
func (t *tracer) adopt(tid int) {
	delete(t.early, tid)
	_, after, _ := strings.Cut(read(fmt.Sprintf("/proc/%d/status", tid)), "Tgid:")
	tgid := tid
	_, _ = fmt.Sscan(after, &tgid)
	t.tasks[tid] = &task{tgid: tgid, role: child, freed: t.freeing}
	t.stopped(tid, firstStop)
}

// adoptEarly is adopt for all that wait to be announced.
func (t *tracer) adoptEarly() {
	for tid := range t.early {
		t.adopt(tid)
	}
}

func (t *tracer) ended(tid int, ws unix.WaitStatus) {
	delete(t.tasks, tid)
	delete(t.early, tid)
	if tid == t.main {
		t.status = ws
		t.freeAll() // what the command leaves behind goes on without us
	}
}

func (t *tracer) stopped(tid int, ws unix.WaitStatus) {
	task := t.tasks[tid]
	switch sig := ws.StopSignal(); {
	case sig == unix.SIGTRAP|0x80:
		t.systemCall(tid, task)
	case sig == unix.SIGTRAP && ws.TrapCause() == unix.PTRACE_EVENT_EXEC:
		t.executed(tid, task)
	case sig == unix.SIGTRAP && ws.TrapCause() > 0:
		t.forked(tid, task, ws.TrapCause())
	case sig == unix.SIGSTOP && task.freed:
		_ = unix.PtraceDetach(tid)
		delete(t.tasks, tid)
	case sig == unix.SIGSTOP:
		task.fresh = false
		t.resume(tid, 0)
	default:
		t.resume(tid, sig)
	}
}

// resume lets a thread go on, to its next system call if that matters.
func (t *tracer) resume(tid int, sig syscall.Signal) {
	task, request := t.tasks[tid], unix.PTRACE_CONT
	if task.fail || t.count && !task.freed && (t.role == "" || t.role == task.role || task.inCall) {
		request = unix.PTRACE_SYSCALL
	}
	_, _, _ = unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0, uintptr(sig), 0, 0)
}

// systemCall handles the entry or exit of a call.
func (t *tracer) systemCall(tid int, task *task) {
	task.inCall = !task.inCall
	if task.fail {
		task.fail = false
		setResult(tid, t.errno)
	}
	if task.freed || !t.count {
		t.resume(tid, 0)
		return
	}
	t.stops[task.role]++
	if task.inCall {
		t.calls[task.role]++
	}
	switch {
	case task.role != t.role:
	case t.errno != 0 && task.inCall && t.calls[t.role] >= t.at && mayFail(callNumber(tid)):
		t.struck, t.count = true, false
		t.call = callNumber(tid)
		task.fail = true
		if t.call != unix.SYS_CLOSE { // a close that reports an error has closed all the same
			skipCall(tid)
		}
	case t.errno == 0 && t.stops[t.role] == t.at:
		t.struck, t.count = true, false
		t.call = callNumber(tid)
		_ = unix.Kill(task.tgid, unix.SIGKILL)
		t.adoptEarly()
		if t.role == command {
			t.freeAll()
			return
		}
	}
	t.resume(tid, 0)
}

// executed learns what has become of a child.
func (t *tracer) executed(tid int, task *task) {
	task.tgid, task.inCall = tid, true // in execve, whose entry was perhaps not looked at
	cmdline, _ := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/cmdline")
	name, _, _ := bytes.Cut(cmdline, []byte{0})
	switch {
	case string(name) == "init" && task.role == child:
		task.role = initer
	case string(name) == "ocirt-builder":
		task.role = builder
	case task.freed: // the SIGSTOP that lets it go is still to come
	default: // a hook, or the container's program
		_ = unix.PtraceDetach(tid)
		delete(t.tasks, tid)
		return
	}
	t.resume(tid, 0)
}

// forked takes a new thread or process in.
func (t *tracer) forked(tid int, parent *task, event int) {
	msg, err := unix.PtraceGetEventMsg(tid)
	t.resume(tid, 0)
	if err != nil {
		return
	}
	born := int(msg)
	if t.tasks[born] != nil {
		return
	}
	n := &task{tgid: born, role: parent.role, freed: parent.freed, fresh: true}
	switch {
	case event == unix.PTRACE_EVENT_CLONE:
		n.tgid = parent.tgid
	case parent.role == command || parent.role == builder:
		n.role = child
	}
	t.tasks[born] = n
	if t.early[born] {
		delete(t.early, born)
		t.stopped(born, firstStop)
	}
}

// freeAll lets everybody go, each when it stops next. A running thread is made to stop.
func (t *tracer) freeAll() {
	t.freeing = true
	t.adoptEarly()
	for tid, task := range t.tasks {
		if task.freed {
			continue
		}
		task.freed = true
		if !task.fresh {
			_ = unix.Tgkill(task.tgid, tid, unix.SIGSTOP)
		}
	}
}
