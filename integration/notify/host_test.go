package notify

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func TestMain(m *testing.M) { lab.Main(m) }

// userID is an ordinary user, and the id of their group.
const userID = 12345

// A host is a service manager: a socket, and what came.
type host struct {
	t     *testing.T
	fd    int
	hold  bool // keep the descriptors of barriers until release
	mu    sync.Mutex
	got   []string
	files int // descriptors that came with anything but a barrier
	pids  []int
	held  []int
}

// listen makes a service manager on a path, or an abstract name, and tells the runtime.
func listen(t *testing.T, r *lab.Runtime, name string) *host {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	h := &host{t: t, fd: fd}
	if name == "" {
		name = filepath.Join(lab.Dir(t), "manager")
	}
	bind(t, fd, name)
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
	r.Env = append(r.Env, "NOTIFY_SOCKET="+name)
	stop, done := make(chan struct{}), make(chan struct{})
	go h.read(stop, done)
	t.Cleanup(func() { close(stop); <-done; h.release(); unix.Close(fd) })
	return h
}

// bind gives a socket a name of any length that everybody may send to.
func bind(t *testing.T, fd int, name string) {
	t.Helper()
	if name[0] == '@' {
		must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: name}))
		return
	}
	dir, err := os.Open(filepath.Dir(name))
	must(t, err)
	defer dir.Close()
	short := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(name)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: short}))
	must(t, os.Chmod(name, 0o777))
}

func (h *host) read(stop, done chan struct{}) {
	defer close(done)
	b, control := make([]byte, 1<<20), make([]byte, 4096)
	for {
		select {
		case <-stop:
			return
		default:
		}
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}, 20); n <= 0 || err != nil {
			continue
		}
		n, cn, _, _, err := unix.Recvmsg(h.fd, b, control, unix.MSG_CMSG_CLOEXEC)
		if err == nil {
			h.take(string(b[:n]), control[:cn])
		}
	}
}

func (h *host) take(text string, control []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var fds []int
	pid := 0
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		h.t.Error(err)
	}
	for _, m := range messages {
		switch m.Header.Type {
		case unix.SCM_RIGHTS:
			fds, _ = unix.ParseUnixRights(&m)
		case unix.SCM_CREDENTIALS:
			if c, err := unix.ParseUnixCredentials(&m); err == nil {
				pid = int(c.Pid)
			}
		}
	}
	h.got, h.pids = append(h.got, text), append(h.pids, pid)
	if text != "BARRIER=1" {
		h.files += len(fds)
	} else if len(fds) != 1 {
		h.t.Errorf("a barrier with %d descriptors", len(fds))
	} else if h.hold {
		h.held = append(h.held, fds...)
		return
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// release lets go of barriers.
func (h *host) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, fd := range h.held {
		unix.Close(fd)
	}
	h.hold, h.held = false, nil
}

// heard is what came so far.
func (h *host) heard() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

// hears waits until this came.
func (h *host) hears(text string) {
	h.t.Helper()
	if !lab.Eventually(func() bool { return slices.Contains(h.heard(), text) }) {
		h.t.Fatalf("the service manager never hears %q, but %q", text, h.heard())
	}
}

// is checks that exactly this came, and no descriptors but those of barriers.
func (h *host) is(want ...string) {
	h.t.Helper()
	if !lab.Eventually(func() bool { return len(h.heard()) >= len(want) }) || !slices.Equal(h.heard(), want) {
		h.t.Errorf("the service manager heard\n%q, want\n%q", h.heard(), want)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.files > 0 {
		h.t.Errorf("%d descriptors came", h.files)
	}
}

// A stance is who makes the containers.
type stance struct {
	runtime *lab.Runtime
	edit    lab.Edit
	uid     int
}

func asRoot(t *testing.T) stance {
	t.Helper()
	need.Root(t)
	return stance{runtime: ours(t, lab.New(t)), edit: func(*specs.Spec) {}}
}

// eachStance runs a test as root, as root with a user namespace, and as an ordinary user.
func eachStance(t *testing.T, test func(*testing.T, stance)) {
	t.Helper()
	t.Run("root", func(t *testing.T) { test(t, asRoot(t)) })
	t.Run("mapped", func(t *testing.T) {
		s := asRoot(t)
		s.edit, s.uid = lab.UserNamespace(0, 100000, 65536), 100000
		test(t, s)
	})
	t.Run("user", func(t *testing.T) {
		if os.Geteuid() != 0 {
			need.UserNamespaces(t)
		}
		r := ours(t, lab.NewAs(t, userID))
		test(t, stance{r, lab.UserNamespace(0, uint32(r.User), 1), r.User})
	})
}

// ours skips other runtimes: runc passes on READY=1 only.
func ours(t *testing.T, r *lab.Runtime) *lab.Runtime {
	t.Helper()
	need.Feature(t, "ocirt", r.Ours(), "another runtime is tested")
	return r
}

func (s stance) bundle(t *testing.T, edits ...lab.Edit) *lab.Bundle {
	t.Helper()
	b := lab.NewBundle(t, append([]lab.Edit{s.edit}, edits...)...)
	if os.Geteuid() == 0 && s.uid != 0 {
		b.Chown(s.uid, s.uid)
	}
	return b
}

// goOn lets a container go on that waits for /tmp/go.
func goOn(t *testing.T, b *lab.Bundle) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(b.Rootfs, "tmp/go"), nil, 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
