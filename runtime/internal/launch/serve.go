package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/wire"
	"github.com/ocirt/ocirt/spec"
)

// IsBuilder reports whether this process was started to build: by name, environment and a
// socket that is there. What a caller puts into the environment is not enough.
func IsBuilder() bool {
	_, ok := builderSocket()
	return ok
}

func builderSocket() (int, bool) {
	if len(os.Args) != 1 || os.Args[0] != BuilderName {
		return 0, false
	}
	fd, err := strconv.Atoi(os.Getenv(BuilderEnv))
	if err != nil || fd < 3 {
		return 0, false
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return fd, err == nil && kind == unix.SOCK_SEQPACKET
}

// Serve is the builder's side of the conversation: it compiles the plan from the same
// input, does the sandbox section, and says what it found.
func Serve() error {
	sock, ok := builderSocket()
	if !ok {
		return errors.New("internal command")
	}
	runtime.LockOSThread()
	unix.CloseOnExec(sock)
	unix.Umask(0)
	if err := wire.Send(sock, wire.Message{Kind: wire.Hello}); err != nil {
		return err
	}
	in, pid, files, err := listen(sock)
	if err != nil {
		return err
	}
	pl, err := plan.Compile(in)
	if err != nil {
		return tell(sock, 0, err)
	}
	ctx, giveUp := context.WithCancelCause(context.Background())
	defer giveUp(nil)
	if runsHooks(in) {
		go endWith(sock, giveUp)
	}
	sandbox := &step.Sandbox{Input: in, Pid: pid, Context: ctx, Warn: func(format string, args ...any) {
		_ = wire.Send(sock, wire.Message{Kind: wire.Log, Text: fmt.Sprintf(format, args...)})
	}}
	for i, e := range pl.Sandbox[:hostTail(pl.Sandbox)] {
		if deserted(sock) {
			return wire.ErrGone
		}
		switch s := e.Step.(type) {
		case step.SandboxStep:
			sandbox.Files = files[i+1]
			err = s.Do(sandbox)
		case step.HostStep:
			err = ask(sock, i+1)
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return tell(sock, i+1, err)
		}
	}
	return built(sock, sandbox)
}

// errGivenUp is why a hook is killed that this process runs.
var errGivenUp = errors.New("the making of the container was given up")

// endPatience is how long this process may take to end of its own will. Only a step that
// hangs needs it.
const endPatience = 2 * time.Second

// deserted reports whether the peer has gone, or says no more because it gives up. Whoever
// builds is in no group of the container's, so nobody else ends it if ocirt is killed.
func deserted(sock int) bool {
	fds := []unix.PollFd{{Fd: int32(sock), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// runsHooks reports whether the builder executes what may take its time, and nobody else
// could end. All else is over soon, and a thread that watches costs half a millisecond.
func runsHooks(in *step.Input) bool {
	h := in.Bundle.Spec.Hooks
	return h != nil && len(h.CreateContainer) > 0
}

// endWith ends this process, and the hook that it runs, when its peer does, or when that says
// no more because it gives up.
func endWith(sock int, giveUp context.CancelCauseFunc) {
	fds := []unix.PollFd{{Fd: int32(sock), Events: unix.POLLRDHUP}}
	for {
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			giveUp(errGivenUp)
			time.Sleep(endPatience)
			os.Exit(1)
		}
	}
}

// listen takes the input and the files of the steps, by number.
func listen(sock int) (in *step.Input, pid int, files map[int][]*os.File, err error) {
	files = map[int][]*os.File{}
	for {
		m, err := wire.Receive(sock)
		if err != nil {
			return nil, 0, nil, err
		}
		switch {
		case m.Kind != wire.Begin:
			return nil, 0, nil, fmt.Errorf("bug in ocirt: message %d to the builder", m.Kind)
		case m.Step == 0 && len(m.Files) == 1:
			if in, err = input(m); err != nil {
				return nil, 0, nil, tell(sock, 0, err)
			}
		case m.Step == cgroupNS && len(m.Files) == 1:
			err := unix.Setns(int(m.Files[0].Fd()), unix.CLONE_NEWCGROUP)
			m.Files[0].Close()
			if err != nil {
				return nil, 0, nil, tell(sock, 0, fmt.Errorf("cannot enter the container's cgroup namespace: %w", err))
			}
		case m.Step > 0:
			files[m.Step] = m.Files
		case in != nil:
			return in, int(m.Errno), files, nil
		default:
			return nil, 0, nil, errors.New("bug in ocirt: the builder has no input")
		}
	}
}

func input(m wire.Message) (*step.Input, error) {
	in, dir, err := wire.DecodeInput(m.Text)
	if err != nil {
		return nil, err
	}
	defer m.Files[0].Close()
	st, err := m.Files[0].Stat()
	if err != nil {
		return nil, err
	}
	raw := make([]byte, st.Size())
	if _, err := m.Files[0].ReadAt(raw, 0); err != nil && err != io.EOF {
		return nil, err
	}
	if in.Bundle, err = spec.Parse(dir, raw); err != nil {
		return nil, err
	}
	in.Bundle.Default()
	in.Process = in.Bundle.Spec.Process
	return in, nil
}

// ask lets ocirt do a step that is the host's. If it fails, ocirt ends the conversation.
func ask(sock, n int) error {
	if err := wire.Send(sock, wire.Message{Kind: wire.Ask, Step: n}); err != nil {
		return err
	}
	m, err := wire.Receive(sock)
	if err != nil {
		return err
	}
	if m.Kind != wire.Answer || m.Step != n {
		return fmt.Errorf("bug in ocirt: message %d, step %d to the builder", m.Kind, m.Step)
	}
	return nil
}

// tell sends a failure, and returns it for the exit status.
func tell(sock, n int, err error) error {
	var errno unix.Errno
	errors.As(err, &errno)
	_ = wire.Send(sock, wire.Message{Kind: wire.Failed, Step: n, Errno: errno, Text: err.Error()})
	return err
}

func built(sock int, b *step.Sandbox) error {
	var e wire.Encoder
	e.String(b.Home)
	e.String(b.Exec)
	e.Bool(b.Console != nil)
	cwd := b.Cwd
	if cwd == nil {
		cwd = b.Root
	}
	files := []*os.File{cwd}
	if b.Console != nil {
		files = append(files, b.Console, b.Master)
	}
	return wire.Send(sock, wire.Message{Kind: wire.Built, Text: string(e.Bytes()), Files: files})
}
