package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// Readiness messages (sd_notify(3)) of a container reach its service manager through us: a
// container does not get the host's socket. It gets one of ours, in a folder of its own
// that is mounted read-only, and we pass on the lines that cannot do harm.

// notifyDirName is the name, in the container's directory, of the folder that the
// container sees. Whether it is there is whether the container has a socket.
const notifyDirName = "notify"

const (
	// barrierTimeout bounds the wait for a service manager to read what it was sent
	// (sd_notify_barrier(3)).
	barrierTimeout = 30 * time.Second
	// maxLast bounds what is read after init's end: what is left of a container that
	// shares its pid namespace could speak for ever.
	maxLast = 1024
)

// notifyDir is the folder that Create makes if the service manager's socket can be used;
// empty if not. That is a warning, as the container may well do without.
func (rt *Runtime) notifyDir(in *step.Input, socket string) string {
	if socket == "" || in.Process == nil {
		return ""
	}
	host, err := dialNotify(socket)
	if err == nil {
		unix.Close(host)
		if in.Namespace(specs.MountNamespace) == nil {
			err = errors.New("the container has no mount namespace")
		}
	}
	if err != nil {
		rt.warnf("NOTIFY_SOCKET: cannot use %q: %v; the container starts without it", socket, err)
		return ""
	}
	return filepath.Join(rt.root, in.ID, notifyDirName)
}

// dialNotify connects to a service manager's socket: a path of any length, or a name that
// begins with @, for the abstract namespace.
func dialNotify(socket string) (int, error) {
	addr := &unix.SockaddrUnix{Name: socket}
	switch {
	case len(socket) > 1 && socket[0] == '@':
	case filepath.IsAbs(socket):
		file, err := unix.Open(socket, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		defer unix.Close(file)
		var st unix.Stat_t
		if err := unix.Fstat(file, &st); err != nil {
			return -1, err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			return -1, errors.New("must be a socket")
		}
		addr.Name = "/proc/self/fd/" + strconv.Itoa(file) // the file that we have looked at
	default:
		return -1, errors.New("must be an absolute path, or begin with @")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	tv := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err == nil {
		err = unix.Connect(fd, addr)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// makeNotifyDir makes the folder, empty as yet.
func (m *making) makeNotifyDir() error {
	if m.input.Options.NotifyDir == "" {
		return nil
	}
	err := linux.MkdirAt(m.dir.File(), notifyDirName, 0o755)
	if err != nil {
		return fmt.Errorf("cannot make the folder of the notify socket: %w", err)
	}
	dir, err := openNotifyDir(m.dir.FD())
	if err != nil {
		return err
	}
	defer dir.Close()
	return linux.Chmod(dir, 0o755) // whatever our umask is
}

func openNotifyDir(at int) (*os.File, error) {
	fd, err := unix.Openat(at, notifyDirName, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the folder of the notify socket: %w", err)
	}
	return os.NewFile(uintptr(fd), notifyDirName), nil
}

// bindNotify makes the container's socket. One that a start which failed has left goes.
func bindNotify(dir *os.File) (_ int, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot make the notify socket: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			err = fmt.Errorf("cannot make the notify socket: %w", err)
		}
	}()
	if err := linux.UnlinkAt(dir, step.NotifyName); err != nil && !errors.Is(err, unix.ENOENT) {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: linux.ProcPath(dir) + "/" + step.NotifyName}); err != nil {
		return -1, os.NewSyscallError("bind", err)
	}
	f, err := linux.OpenAt(dir, step.NotifyName, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	return fd, linux.Chmod(f, 0o777) // the container's process can have any id
}

// A notifier passes on what a container says. A nil one has nothing to do.
type notifier struct {
	c       *Container
	stay    bool // until the container's end, not only until it is ready
	mainPID int
	in      int // the container's socket
	out     int // connected to the service manager's
	pidfd   int // of init
	stop    int // eventfd
	sent    bool
	ready   bool
	failed  sync.Once // one warning is enough
	done    chan struct{}
}

// notifier makes the container's socket, if the container was made with a folder for it
// and there is somebody to pass things on to.
func (c *Container) notifier(o StartOptions) (_ *notifier, err error) {
	if o.NotifySocket == "" {
		return nil, nil
	}
	dir, err := openNotifyDir(c.dir.FD())
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	n := &notifier{c: c, stay: o.Foreground && c.self != nil, in: -1, out: -1, pidfd: -1, stop: -1, done: make(chan struct{})}
	n.mainPID = c.rec.Pid
	if n.stay {
		n.mainPID = os.Getpid()
	}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if n.out, err = dialNotify(o.NotifySocket); err != nil {
		c.rt.warnf("NOTIFY_SOCKET: cannot use %q: %v; nothing is passed on to it", o.NotifySocket, err)
		n.close()
		return nil, nil
	}
	if n.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if n.pidfd, err = c.process().Open(); err != nil {
		return nil, err
	}
	n.in, err = bindNotify(dir)
	return n, err
}

func (n *notifier) close() {
	for _, fd := range []int{n.in, n.out, n.pidfd, n.stop} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// wait waits until run is done.
func (n *notifier) wait(ctx context.Context) error {
	defer n.close()
	select {
	case <-n.done:
	case <-ctx.Done():
		n.interrupt()
		<-n.done
		return fmt.Errorf("cannot wait until the container is ready: %w", context.Cause(ctx))
	}
	if !n.ready {
		n.c.rt.warnf("NOTIFY_SOCKET: the container has ended and never said READY=1")
	}
	return nil
}

// finish is for after init's end: the rest is passed on.
func (n *notifier) finish() {
	if n != nil {
		<-n.done
	}
}

// halt ends run now.
func (n *notifier) halt() {
	if n == nil || n.stop < 0 {
		return
	}
	n.interrupt()
	<-n.done
	n.close()
	n.stop = -1
}

func (n *notifier) interrupt() { _, _ = unix.Write(n.stop, []byte{0, 0, 0, 0, 0, 0, 0, 1}) }

// run passes on what comes, until the container is ready or until its end.
func (n *notifier) run() {
	defer close(n.done)
	b := make([]byte, maxNotification+1)
	for n.stay || !n.ready {
		fds := []unix.PollFd{{Fd: int32(n.stop), Events: unix.POLLIN}, {Fd: int32(n.pidfd), Events: unix.POLLIN}, {Fd: int32(n.in), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			n.fail(os.NewSyscallError("poll", err))
			return
		}
		if fds[0].Revents != 0 {
			return
		}
		if fds[1].Revents != 0 {
			for i := 0; i < maxLast && n.take(b); i++ {
			}
			break
		}
		n.take(b)
	}
	if n.sent {
		n.barrier()
	}
}

// take reads one message, if there is one, and passes on what may be. Descriptors in it are
// closed by the kernel, as there is no place for them. One that waits for that, the barrier
// of sd_notify_barrier(3), is right to: everything before it has been passed on.
func (n *notifier) take(b []byte) bool {
	size, _, flags, _, err := unix.Recvmsg(n.in, b, nil, unix.MSG_DONTWAIT)
	switch {
	case err == unix.EINTR:
		return true
	case err != nil:
		return false
	case size > maxNotification || flags&unix.MSG_TRUNC != 0:
		return true // a service manager would not read it, either
	}
	m := allowed(b[:size])
	if m.text != "" {
		n.send(m.text, nil)
	}
	if m.ready || m.mainPID {
		n.send("MAINPID="+strconv.Itoa(n.mainPID), nil)
	}
	n.ready = n.ready || m.ready
	return true
}

// send sends a message to the service manager. One that does not listen is its own loss.
func (n *notifier) send(text string, fds []int) bool {
	if err := linux.Send(n.out, []byte(text), fds); err != nil {
		n.fail(err)
		return false
	}
	n.sent = true
	return true
}

func (n *notifier) fail(err error) {
	n.failed.Do(func() { n.c.rt.warnf("NOTIFY_SOCKET: cannot pass on what the container says: %v", err) })
}

// barrier waits until the service manager has read what was sent: it asks who we are by
// our pid, so we must not be gone by then.
func (n *notifier) barrier() {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		n.fail(os.NewSyscallError("pipe2", err))
		return
	}
	defer unix.Close(p[0])
	ok := n.send("BARRIER=1", []int{p[1]})
	unix.Close(p[1])
	for end := time.Now().Add(barrierTimeout); ok; {
		fds := []unix.PollFd{{Fd: int32(p[0])}, {Fd: int32(n.stop), Events: unix.POLLIN}}
		left := time.Until(end)
		got, err := unix.Poll(fds, int(max(0, left.Milliseconds())))
		switch {
		case err == unix.EINTR:
		case err == nil && got == 0:
			n.fail(fmt.Errorf("it was not read within %v", barrierTimeout))
			return
		default:
			return
		}
	}
}
