package seccomp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// notification and response are struct seccomp_notif and struct seccomp_notif_resp
// (include/uapi/linux/seccomp.h).
type notification struct {
	ID         uint64
	PID, Flags uint32
	Number     int32
	Arch       uint32
	Pointer    uint64
	Args       [6]uint64
}

type response struct {
	ID    uint64
	Value int64
	Error int32
	Flags uint32
}

const goOn = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE

// An agent is a seccomp agent: it takes listeners and answers for the kernel.
type agent struct {
	t      testing.TB
	Path   string
	listen *net.UnixListener
	answer func(*notification) response

	mu     sync.Mutex
	states []specs.ContainerProcessState
	calls  map[int32]int
	wg     sync.WaitGroup
}

// newAgent starts an agent that lets the kernel do everything but what answer says.
func newAgent(t testing.TB, answer func(*notification) response) *agent {
	t.Helper()
	a := &agent{t: t, Path: filepath.Join(lab.Dir(t), "agent.sock"), answer: answer, calls: map[int32]int{}}
	a.open()
	t.Cleanup(func() {
		a.close()
		a.wg.Wait()
	})
	return a
}

func (a *agent) open() {
	a.t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: a.Path, Net: "unix"})
	must(a.t, err)
	must(a.t, os.Chmod(a.Path, 0o666))
	a.listen = l
	a.wg.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			a.wg.Go(func() { a.serve(c) })
		}
	})
}

func (a *agent) close() { a.listen.Close() }

// serve takes what comes over one connection: one state with one descriptor, and the end.
func (a *agent) serve(c *net.UnixConn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(lab.Patience))
	var text []byte
	listener := -1
	for {
		b, control := make([]byte, 1<<16), make([]byte, unix.CmsgSpace(4*8))
		n, cn, _, _, err := c.ReadMsgUnix(b, control)
		if err != nil || n == 0 {
			break
		}
		text = append(text, b[:n]...)
		fds, err := rights(control[:cn])
		if err != nil || len(fds) > 1 || len(fds) == 1 && listener >= 0 {
			a.t.Errorf("descriptors %v, %v after %d", fds, err, listener)
		}
		if len(fds) == 1 {
			listener = fds[0]
		}
	}
	var state specs.ContainerProcessState
	if err := json.Unmarshal(text, &state); err != nil || listener < 0 {
		a.t.Errorf("descriptor %d with %q: %v", listener, text, err)
		return
	}
	a.mu.Lock()
	a.states = append(a.states, state)
	a.mu.Unlock()
	defer unix.Close(listener)
	if err := a.listenTo(listener); err != nil {
		a.t.Error(err)
	}
}

func rights(control []byte) ([]int, error) {
	if len(control) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d control messages, %w", len(messages), err)
	}
	return unix.ParseUnixRights(&messages[0])
}

// listenTo answers until nobody is left who could call.
func (a *agent) listenTo(fd int) error {
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if fds[0].Revents&unix.POLLIN == 0 {
			if fds[0].Revents&unix.POLLHUP != 0 {
				return nil
			}
			continue
		}
		var n notification
		switch err := control(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); err {
		case nil:
		case unix.ENOENT, unix.EINTR: // the caller was killed
			continue
		default:
			return fmt.Errorf("receive: %w", err)
		}
		a.mu.Lock()
		a.calls[n.Number]++
		a.mu.Unlock()
		r := response{Flags: goOn}
		if a.answer != nil {
			r = a.answer(&n)
		}
		r.ID = n.ID
		if err := control(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("send: %w", err)
		}
	}
}

func control(fd int, request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// State waits for the nth state that the agent was sent.
func (a *agent) State(n int) specs.ContainerProcessState {
	a.t.Helper()
	var s specs.ContainerProcessState
	if !lab.Eventually(func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.states) > n {
			s = a.states[n]
		}
		return len(a.states) > n
	}) {
		a.t.Fatalf("the agent was sent %d states", len(a.states))
	}
	return s
}

// Count is how many states the agent was sent.
func (a *agent) Count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.states)
}

// Told is how often the agent was told of a call.
func (a *agent) Told(number int32) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[number]
}

// ToldOfAny is how often the agent was told of anything.
func (a *agent) ToldOfAny() (sum int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.calls {
		sum += n
	}
	return sum
}

// makeDirectory does mkdir and mkdirat for the caller, whatever the caller may do itself.
func makeDirectory(n *notification) response {
	at := n.Args[0]
	if n.Number == unix.SYS_MKDIRAT {
		at = n.Args[1]
	}
	path, err := stringOf(int(n.PID), at)
	if err != nil {
		return response{Error: -int32(unix.EFAULT)}
	}
	root, err := os.OpenRoot(fmt.Sprintf("/proc/%d/root", n.PID))
	if err != nil {
		return response{Error: -int32(unix.ESRCH)}
	}
	defer root.Close()
	err = root.Mkdir(strings.TrimPrefix(path, "/"), 0o750)
	var errno unix.Errno
	if errors.As(err, &errno) {
		return response{Error: -int32(errno)}
	}
	return response{}
}

// stringOf reads a string from the memory of a process.
func stringOf(pid int, at uint64) (string, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, 4096)
	n, err := f.ReadAt(b, int64(at))
	if n == 0 {
		return "", err
	}
	text, _, found := strings.Cut(string(b[:n]), "\x00")
	if !found {
		return "", errors.New("no end")
	}
	return text, nil
}
