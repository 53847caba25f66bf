package runtime

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/store"
)

// startSocket is the name, in the container's directory, of the socket on which init waits
// for start. Only init listens on it, and execve closes it: whether anybody listens is
// whether the container still waits.
const startSocket = "start.sock"

// socketAddr names the socket through the open directory: a socket's address holds 107
// bytes, a path may be longer.
func socketAddr(dir *store.Dir) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(dir.FD()) + "/" + startSocket}
}

// newStartSocket makes the start socket; it has no name yet.
func newStartSocket() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make the start socket: %w", err)
	}
	return os.NewFile(uintptr(fd), startSocket), nil
}

// listen gives the start socket its name and lets it listen.
func listen(socket *os.File, dir *store.Dir) error {
	fd := int(socket.Fd())
	if err := unix.Bind(fd, socketAddr(dir)); err != nil {
		return fmt.Errorf("cannot name the start socket: %w", err)
	}
	if err := unix.Listen(fd, 8); err != nil {
		return fmt.Errorf("cannot listen on the start socket: %w", err)
	}
	return nil
}

// connect connects to the start socket.
func connect(dir *store.Dir) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot make a socket: %w", err)
	}
	if err := unix.Connect(fd, socketAddr(dir)); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// waiting reports whether init waits for start. A connection of the wrong type is refused
// with EPROTOTYPE if somebody listens, and with ECONNREFUSED if nobody does (unix(7)); init
// does not notice either.
func (c *Container) waiting() bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Connect(fd, socketAddr(c.dir)) == unix.EPROTOTYPE
}
