package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/seccomp"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// A SeccompQuestion is a system call that a container could make.
type SeccompQuestion struct {
	// Arch is the architecture by whose numbers it is made: SCMP_ARCH_X86, x86, 386. Empty:
	// that of this machine.
	Arch string
	Call string   // its name, or its number
	Args []uint64 // those that are known, from the first
}

// A SeccompAnswer says what a container's profile makes of a system call. There is more
// than one case if it depends on arguments that were not given: the first that fits counts,
// and the last one fits always.
type SeccompAnswer struct {
	Arch   specs.Arch
	Number uint32
	Names  []string // by which the architecture knows the number
	Cases  []SeccompCase
}

// A SeccompCase is what is done about a call, and why.
type SeccompCase struct {
	When    string // what must be true of the arguments; empty: nothing
	Action  string // "SCMP_ACT_ERRNO (EPERM)"
	Pointer string // JSON pointer into config.json of what decides
	Why     string // more about it, if it is no rule
}

var errNoProfile = errors.New("config.json has no linux.seccomp")

func profileOf(b *spec.Bundle, arch string) (*specs.LinuxSeccomp, specs.Arch, error) {
	if b.Spec.Linux == nil || b.Spec.Linux.Seccomp == nil {
		return nil, "", errNoProfile
	}
	if arch == "" {
		return b.Spec.Linux.Seccomp, "", nil
	}
	a, ok := seccomp.ArchOf(arch)
	if !ok {
		return nil, "", fmt.Errorf("%q is not a known architecture", arch)
	}
	return b.Spec.Linux.Seccomp, a, nil
}

// ExplainSeccomp says what a bundle's seccomp profile makes of a system call, and which
// rule decides. It starts nothing, and needs no privileges.
func ExplainSeccomp(b *spec.Bundle, q SeccompQuestion) (SeccompAnswer, error) {
	p, arch, err := profileOf(b, q.Arch)
	if err != nil {
		return SeccompAnswer{}, err
	}
	a, err := seccomp.Explain(p, seccomp.Question{Arch: arch, Call: q.Call, Args: q.Args})
	if err != nil {
		return SeccompAnswer{}, err
	}
	out := SeccompAnswer{Arch: a.Arch, Number: a.Number, Names: a.Names}
	for _, c := range a.Cases {
		out.Cases = append(out.Cases, SeccompCase{When: c.When, Action: c.Action, Pointer: c.Pointer, Why: c.Why})
	}
	return out, nil
}

// SeccompFilter is the filter that a bundle's seccomp profile is compiled to on the machine
// of an architecture, as in SeccompQuestion: an array of struct sock_filter in that
// machine's byte order (seccomp(2)).
func SeccompFilter(b *spec.Bundle, arch string) ([]byte, error) {
	p, a, err := profileOf(b, arch)
	if err != nil {
		return nil, err
	}
	return seccomp.Compile(p, a)
}

// DisassembleSeccomp is the same filter as text, a line for each instruction.
func DisassembleSeccomp(b *spec.Bundle, arch string) (string, error) {
	p, a, err := profileOf(b, arch)
	if err != nil {
		return "", err
	}
	return seccomp.Disassemble(p, a)
}

// listenerOf returns the profile if it is one that tells an agent of calls.
func listenerOf(b *spec.Bundle) *specs.LinuxSeccomp {
	if b.Spec.Linux == nil || b.Spec.Linux.Seccomp == nil || !seccomp.Notifies(b.Spec.Linux.Seccomp) {
		return nil
	}
	return b.Spec.Linux.Seccomp
}

// checkAgent reports whether somebody is at the socket of the seccomp agent, without
// connecting to it: a connection of the wrong type is refused with EPROTOTYPE if there is a
// stream socket (unix(7)), and its owner does not notice.
func checkAgent(b *spec.Bundle) error {
	p := listenerOf(b)
	if p == nil {
		return nil
	}
	err := dialAgent(p.ListenerPath, unix.SOCK_DGRAM, func(int) error { return nil })
	switch {
	case errors.Is(err, unix.EPROTOTYPE):
		return nil
	case err == nil:
		return agentError(p.ListenerPath, unix.EPROTOTYPE)
	}
	return err
}

// agentError is in words that callers of runtimes match.
func agentError(path string, err error) error {
	return fmt.Errorf("failed to connect with seccomp agent: linux.seccomp.listenerPath: %q: %w", path, err)
}

// dialAgent connects to a socket, which it opens first: what is at the path must be the
// socket itself, and an address holds only 107 bytes.
func dialAgent(path string, kind int, use func(fd int) error) error {
	file, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return agentError(path, err)
	}
	defer unix.Close(file)
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil {
		return agentError(path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return agentError(path, unix.ENOTSOCK)
	}
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot make a socket: %w", err)
	}
	defer unix.Close(fd)
	// It bounds connect as well, whose peer's queue may be full.
	tv := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(file)})
	if err == unix.EAGAIN {
		err = unix.ETIMEDOUT
	}
	if err != nil {
		return agentError(path, err)
	}
	return use(fd)
}

// agent hands the listener of a process to the seccomp agent: one connection, with one
// container process state and the descriptor (runtime-spec, config-linux, seccomp). State
// is asked for when the process's pid is known.
func agent(b *spec.Bundle, state func(pid int) *specs.State) launch.Agent {
	p := listenerOf(b)
	if p == nil {
		return nil
	}
	return func(pid int, listener *os.File) error {
		text, err := json.Marshal(specs.ContainerProcessState{
			Version: specs.Version, Fds: []string{specs.SeccompFdName}, Pid: pid, Metadata: p.ListenerMetadata, State: *state(pid),
		})
		if err != nil {
			return fmt.Errorf("cannot encode the state for the seccomp agent: %w", err)
		}
		return dialAgent(p.ListenerPath, unix.SOCK_STREAM, func(fd int) error {
			if err := sendState(fd, text, int(listener.Fd())); err != nil {
				return fmt.Errorf("cannot send to the seccomp agent: linux.seccomp.listenerPath: %q: %w", p.ListenerPath, err)
			}
			return nil
		})
	}
}

// agent is that of the container's first process while it is made.
func (m *making) agent() launch.Agent {
	in := m.input
	return agent(in.Bundle, func(pid int) *specs.State {
		return &specs.State{
			Version: specs.Version, ID: in.ID, Status: specs.StateCreating, Pid: pid,
			Bundle: in.Bundle.Dir, Annotations: in.Bundle.Spec.Annotations,
		}
	})
}

// agent is that of the processes of a container that exists.
func (c *Container) agent(b *spec.Bundle) launch.Agent {
	return agent(b, func(int) *specs.State {
		status := specs.StateRunning
		if s, err := c.Status(); err == nil && s == Created {
			status = specs.StateCreated
		}
		return c.hookState(status, b)
	})
}

// receiveListener gives the agent the listener that init sends when it is started.
func (c *Container) receiveListener(conn int, files []*os.File, b *spec.Bundle) error {
	a := c.agent(b)
	if len(files) != 1 || a == nil || !launch.IsListener(files[0]) {
		return errors.New("bug in ocirt: init sent what nobody asked for")
	}
	if err := a(c.rec.Pid, files[0]); err != nil {
		return err
	}
	files[0].Close() // the agent alone has it from now on
	if err := unix.Send(conn, []byte{1}, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("cannot speak to init: %w", err)
	}
	return nil
}

// sendState sends the descriptor with the first bytes, and what does not fit into the
// socket's buffer after them.
func sendState(fd int, text []byte, listener int) error {
	rights := unix.UnixRights(listener)
	deadline := time.Now().Add(sendTimeout) // of everything: each call has that time of its own
	for len(text) > 0 {
		n, err := unix.SendmsgN(fd, text, rights, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return unix.ETIMEDOUT
		case err != nil:
			return err
		}
		text, rights = text[n:], nil
		if len(text) > 0 && time.Now().After(deadline) {
			return unix.ETIMEDOUT
		}
	}
	return nil
}

// execDenied says which property of the profile makes execve fail with an errno, if it is
// the profile.
func execDenied(in *step.Input, errno unix.Errno) string {
	calls, err := plan.FinalCalls(in)
	if err != nil {
		return ""
	}
	return plan.Denied(in, calls, len(calls)-1, errno)
}

// maxWaitForKill is how long the end of a process is waited for that is known to come, in
// milliseconds.
const maxWaitForKill = 2000

// killedByFilter reports whether init was killed by its own filter on the way to the
// container's program, which for start looks as if it ran.
func (c *Container) killedByFilter(b *spec.Bundle) error {
	in := &step.Input{ID: c.rec.ID, Bundle: b, Process: b.Spec.Process}
	if !plan.Kills(in) {
		return nil
	}
	in.Facts = probe()
	calls, err := plan.FinalCalls(in)
	if err != nil {
		return nil //nolint:nilerr // it was compiled before; and the program may well run
	}
	why := plan.Killer(in, calls)
	if why == "" {
		return nil
	}
	if pidfd, err := c.process().Open(); err == nil {
		defer unix.Close(pidfd)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, maxWaitForKill)
		if err != nil || n == 0 {
			return nil
		}
	}
	return fmt.Errorf("exec %s: %w", b.Spec.Process.Args[0], &launch.KilledError{Why: why})
}

// SeccompWarnings are what is questionable in a bundle's profile, on this machine: rules
// that forbid calls of which it knows none.
func SeccompWarnings(b *spec.Bundle) spec.Problems {
	p, _, err := profileOf(b, "")
	if err != nil {
		return nil
	}
	var list spec.Problems
	for _, i := range seccomp.Idle(p) {
		list = append(list, spec.Problem{
			Pointer: fmt.Sprintf("/linux/seccomp/syscalls/%d/names", i), Path: fmt.Sprintf("linux.seccomp.syscalls[%d].names", i),
			Text: seccomp.IdleText, Warning: true,
		})
	}
	return list
}
