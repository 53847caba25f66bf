package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// A JoinRequest is a further process in a container whose init exists.
type JoinRequest struct {
	Input    *step.Input
	Plan     *plan.Plan // of CompileExec or CompileHook
	Pidfd    *os.File   // of init
	Tasks    []*os.File // cgroup v1 tasks files
	CgroupFD *os.File   // the version 2 group
	Files    []*os.File // descriptors 0 to Input.KeepFDs()-1
	Dir      string     // as in Request

	Home string // "HOME=…" to add to the environment; for a plan that executes
	Exec string // path in the container to execute; the same

	// Place puts the process into the container's version 2 group, if it cannot be born
	// there. The process waits meanwhile.
	Place func(pid int) error

	// Hook is what is executed if the plan does not say so.
	Hook *Command

	// Agent gets the listener, if the process's filter has one.
	Agent Agent
}

// A Command is a path in the container to execute, with exactly this environment.
type Command struct {
	Path string
	Args []string
	Env  []string
}

// A Joined is a process on its way into a container.
type Joined struct {
	Pid int // of the process that will execute; our child

	input   *step.Input
	program *entry.Program
	plan    *plan.Plan
	sock    int
	others  []int // processes on the way to Pid, our children too; they end by themselves

	handOver handOver
	settled  bool // Pid is known
}

// Labels of calls by which their failures are told apart.
const (
	JoinCgroup    = "join cgroup"
	OpenDirectory = "open the working directory"

	reportCgroup = "report the process of the cgroup"
	awaitPlace   = "ask for a cgroup"
)

// maxWaitForDead is how long the end of a killed process is waited for.
const maxWaitForDead = 2 * time.Second

// Join starts a further process in a container and returns when its pid is known. It goes
// on up to its plan's wait for the caller, if there is one; see Release. If Join returns
// an error, no process goes on.
func Join(ctx context.Context, r JoinRequest) (_ *Joined, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make the socket to a process: %w", err)
	}
	j := &Joined{input: r.Input, plan: r.Plan, sock: pair[0]}
	theirs := os.NewFile(uintptr(pair[1]), "process")
	defer func() {
		if err != nil {
			j.Abort()
		}
	}()
	if j.program, err = r.program(theirs); err != nil {
		theirs.Close()
		return nil, err
	}
	j.handOver = newHandOver(j.program, r.Agent)
	j.Pid, err = j.program.Start(r.Files, &syscall.SysProcAttr{})
	theirs.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot start a process: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = unix.Shutdown(pair[0], unix.SHUT_RDWR) })
	defer stop()
	if r.Place != nil {
		err = j.place(r.Place)
	}
	if err == nil {
		err = j.arrive()
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return j, err
}

// place lets somebody put the process where it waits to be.
func (j *Joined) place(put func(pid int) error) error {
	r, ok, err := j.hear()
	if err != nil {
		return err
	}
	if !ok || j.label(r) != awaitPlace {
		return errors.New("a process ended on its way into the container")
	}
	if err := put(j.Pid); err != nil {
		return fmt.Errorf("cannot join the container's cgroup: %w", err)
	}
	if err := unix.Send(j.sock, []byte{1}, unix.MSG_NOSIGNAL); err != nil && err != unix.EPIPE {
		return fmt.Errorf("cannot speak to a process: %w", err)
	}
	return nil
}

// arrive follows the process until it is the one that will execute.
func (j *Joined) arrive() error {
	chain := [3]int{j.Pid} // started, born in the cgroup, born in the pid namespace
	for {
		j.others = j.others[:0]
		for _, pid := range chain {
			if pid != 0 && pid != j.Pid {
				j.others = append(j.others, pid)
			}
		}
		if j.program.Find(reportCgroup) < 0 != (chain[1] != 0) && j.program.Find(plan.EnteredLabel) < 0 != (chain[2] != 0) {
			j.settled = true
			return j.handOver.give(j.sock, j.Pid)
		}
		r, ok, err := j.hear()
		if err != nil {
			return err
		}
		if !ok {
			return errors.New("a process ended on its way into the container")
		}
		// A process of the container may be able to speak in the name of one that has
		// just arrived. It must not make us act on a process that is not our child.
		pid := int(r.Value)
		if !isChild(pid) {
			return fmt.Errorf("bug in ocirt: process %d is no child", pid)
		}
		if j.label(r) == plan.EnteredLabel { // may come before the other
			chain[2], j.Pid = pid, pid
		} else if chain[1] = pid; chain[2] == 0 {
			j.Pid = pid
		}
	}
}

func (j *Joined) label(r entry.Record) string {
	label, _ := j.program.Describe(r.Call)
	return label
}

// isChild reports whether a process is our child, ended or not.
func isChild(pid int) bool {
	if pid <= 1 {
		return false
	}
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

// hear reads a record: of a fork, or of a failure, which is an error. At the end of the
// conversation ok is false.
func (j *Joined) hear() (r entry.Record, ok bool, err error) {
	for {
		b, files, err := linux.Receive(j.sock, entry.RecordSize, 1)
		if err != nil {
			return r, false, fmt.Errorf("cannot hear a process: %w", err)
		}
		if len(b) == 0 {
			return r, false, nil
		}
		if r, ok = entry.ParseRecord(b); !ok {
			closeFiles(files)
			return r, false, fmt.Errorf("bug in ocirt: a process sent %d bytes", len(b))
		}
		if took, err := j.handOver.takes(r, files); err != nil {
			return r, false, err
		} else if took {
			if j.settled {
				err = j.handOver.give(j.sock, j.Pid)
			}
			if err != nil {
				return r, false, err
			}
			continue
		}
		closeFiles(files)
		if r.Errno != 0 {
			return r, false, j.fault(r)
		}
		return r, true, nil
	}
}

// A NotExecuted is the errno of an execve that failed.
type NotExecuted struct{ Errno unix.Errno }

func (e *NotExecuted) Error() string { return "cannot execute: " + e.Errno.Error() }

// Unwrap returns the errno.
func (e *NotExecuted) Unwrap() error { return e.Errno }

func (j *Joined) fault(r entry.Record) error {
	if r.Call == j.program.Len()-1 {
		return &NotExecuted{r.Errno}
	}
	return Fault(j.input, j.program, j.plan, r)
}

// Release lets the process go on, and returns when it has executed its program, or with
// the reason why it could not. Then no process goes on.
func (j *Joined) Release(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = unix.Shutdown(j.sock, unix.SHUT_RDWR) })
	defer stop()
	if j.program.Find(plan.AwaitLabel) >= 0 {
		if err := unix.Send(j.sock, []byte{1}, unix.MSG_NOSIGNAL); err != nil && err != unix.EPIPE {
			j.Abort()
			return fmt.Errorf("cannot speak to a process: %w", err)
		}
	}
	r, more, err := j.hear()
	if more {
		err = fmt.Errorf("bug in ocirt: a process reported %q", j.label(r))
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		j.Abort()
		return err
	}
	unix.Close(j.sock)
	j.sock = -1
	j.forget()
	if !plan.Kills(j.input) {
		return nil
	}
	return j.killed()
}

// forget reaps the processes on the way, which have ended by now, or are about to.
func (j *Joined) forget() {
	for _, pid := range j.others {
		bury(pid)
	}
	j.others = nil
}

// Abort kills and reaps the process, and those on the way to it.
func (j *Joined) Abort() {
	if j.sock >= 0 {
		unix.Close(j.sock)
		j.sock = -1
	}
	j.handOver.close()
	for _, pid := range append(j.others, j.Pid) {
		if pid > 0 {
			_ = unix.Kill(pid, unix.SIGKILL) // ours until it is reaped
		}
	}
	j.forget()
	if j.Pid > 0 {
		bury(j.Pid)
		j.Pid = 0
	}
}

// bury reaps a child that was killed, or ends by itself. One in a frozen cgroup takes as
// long as it is frozen, so the wait for it goes on elsewhere.
func bury(pid int) {
	if reaped(pid) {
		return
	}
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		for deadline := time.Now().Add(maxWaitForDead); ; {
			left := max(0, time.Until(deadline))
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
			if err != unix.EINTR {
				break
			}
		}
		unix.Close(fd)
	}
	if !reaped(pid) {
		go reap(pid)
	}
}

func reaped(pid int) bool {
	for {
		got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
		if err != unix.EINTR {
			return err != nil || got == pid
		}
	}
}

// reap waits for a child that ends.
func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}
