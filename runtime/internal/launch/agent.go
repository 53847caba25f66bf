package launch

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/plan"
)

// An Agent is given the listener of a process's seccomp filter, by which the kernel tells
// of system calls, with the process's pid. The process waits until it returns, and ends if
// that is with an error. The file is closed afterwards.
type Agent func(pid int, listener *os.File) error

// A handOver is the part of a conversation in which the listener is given to an agent.
type handOver struct {
	agent    Agent
	call     int      // index of the call that brings it; -1: none does
	listener *os.File // from its coming until the process's pid is known
}

func newHandOver(p *entry.Program, a Agent) handOver {
	return handOver{agent: a, call: p.Find(plan.ListenerLabel)}
}

// takes reports whether a record brings the listener, and keeps it.
func (h *handOver) takes(r entry.Record, files []*os.File) (bool, error) {
	if r.Errno != 0 || r.Call != h.call {
		return false, nil
	}
	if len(files) != 1 || h.listener != nil || !IsListener(files[0]) {
		closeFiles(files)
		return true, errors.New("bug in ocirt: it is not one seccomp listener")
	}
	h.listener = files[0]
	return true, nil
}

// IsListener reports whether a descriptor is one: who joins a container is not alone with
// us, and could be made to send something else.
func IsListener(f *os.File) bool {
	what, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	return err == nil && what == "anon_inode:seccomp notify"
}

// give gives it to the agent, if it has come, and lets the process go on.
func (h *handOver) give(sock, pid int) error {
	if h.listener == nil {
		return nil
	}
	defer h.close()
	if h.agent == nil {
		return errors.New("bug in ocirt: nobody takes the seccomp listener")
	}
	if err := h.agent(pid, h.listener); err != nil {
		return err
	}
	if err := unix.Send(sock, []byte{1}, unix.MSG_NOSIGNAL); err != nil && err != unix.EPIPE {
		return fmt.Errorf("cannot speak to a process: %w", err)
	}
	return nil // a peer that has gone is noticed by the next receive
}

func (h *handOver) close() {
	if h.listener != nil {
		h.listener.Close()
		h.listener = nil
	}
}

// maxWaitForKill is how long the end of a process is waited for that is known to come, in
// milliseconds.
const maxWaitForKill = 2000

// A KilledError is the end of a process by a call of ours that the container's seccomp
// profile punishes. The end of the conversation looks as after an execve.
type KilledError struct{ Why string }

func (e *KilledError) Error() string { return "killed by signal 31 (bad system call): " + e.Why }

// killed reports whether the process has not executed its program but has been killed by
// the filter.
func (j *Joined) killed() error {
	why := plan.Killer(j.input, j.program.Calls())
	if why == "" {
		return nil
	}
	pidfd, err := unix.PidfdOpen(j.Pid, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(pidfd)
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, maxWaitForKill); err != nil || n == 0 {
		return nil
	}
	bury(j.Pid)
	j.Pid = 0
	return &KilledError{why}
}
