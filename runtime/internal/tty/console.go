package tty

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// OpenConsole makes a pseudo-terminal in the container's devpts. Sandbox gets its two ends.
type OpenConsole struct {
	Rows, Columns uint16 // 0: as the kernel makes it
	UID           uint32 // owner of the process's end
	Place         bool   // show it as /dev/console

	// Root is set where the step is done on the host for a container with a user namespace:
	// the container's root there, who would own the terminal if it had opened it.
	Root *Owner
}

// An Owner is a user and a group.
type Owner struct{ UID, GID int }

// UseConsole makes the terminal the process's standard streams and its controlling
// terminal.
type UseConsole struct{}

// Console compiles process.terminal and process.consoleSize. It must stand after the
// change of root and before the root becomes read-only: /dev/console may have to be made.
func Console(in *step.Input, emit step.Emit) error {
	p := in.Process
	if p == nil || !p.Terminal {
		return nil
	}
	s := OpenConsole{UID: p.User.UID, Place: in.Namespace(specs.MountNamespace) != nil}
	if in.Join != nil {
		s = OpenConsole{Root: rootOf(in)}
	}
	if size := p.ConsoleSize; size != nil {
		if size.Height > 1<<16-1 || size.Width > 1<<16-1 {
			return fmt.Errorf("process.consoleSize: %dx%d is larger than 65535", size.Width, size.Height)
		}
		s.Rows, s.Columns = uint16(size.Height), uint16(size.Width)
	}
	emit("/process/terminal", s)
	return nil
}

// Attach compiles the process's part of process.terminal. It must stand after setsid.
func Attach(in *step.Input, emit step.Emit) error {
	switch {
	case in.Process == nil || !in.Process.Terminal:
	case in.Join != nil:
		emit("/process/terminal", ControlConsole{})
	default:
		emit("/process/terminal", UseConsole{})
	}
	return nil
}

func (s OpenConsole) String() string {
	if s.Rows|s.Columns != 0 {
		return fmt.Sprintf("open a terminal of %d columns and %d rows", s.Columns, s.Rows)
	}
	return "open a terminal"
}

func (UseConsole) String() string { return "use the terminal" }

// Lower writes the calls. Dup3 leaves the copies open across execve.
func (UseConsole) Lower(in *step.Init) error {
	for fd := range 3 {
		in.Call(unix.SYS_DUP3, in.Console, fd, 0).Labelf("use the terminal as descriptor %d", fd)
	}
	in.Call(unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0).Label("make the terminal the controlling one")
	return nil
}

// Do makes the terminal.
func (s OpenConsole) Do(b *step.Sandbox) error {
	master, err := openMaster(b.Root)
	if err != nil {
		return fmt.Errorf("cannot open a terminal: %w", err)
	}
	peer, err := s.openPeer(master)
	if err == nil && s.Place {
		if err = place(b.Root, peer); err != nil {
			peer.Close()
		}
	}
	if err != nil {
		master.Close()
		return err
	}
	b.Master, b.Console = master, peer
	return nil
}

// What the multiplexer of every devpts is (Documentation/filesystems/devpts.rst and
// devices.txt).
const (
	ptmxInode = 2
	ptmxMajor = 5
	ptmxMinor = 2
)

// openMaster opens the multiplexer of the container's devpts. It is not opened before the
// kernel has said that the directory is a devpts, and it cannot be elsewhere then, so no
// image can make us open a device of its choice (CVE-2025-52565).
func openMaster(root *os.File) (*os.File, error) {
	pts, err := safepath.OpenNoLinks(root, "dev/pts", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer pts.Close()
	magic, err := linux.FilesystemOf(pts)
	if err != nil {
		return nil, err
	}
	if magic != unix.DEVPTS_SUPER_MAGIC {
		return nil, errors.New("/dev/pts is not a devpts")
	}
	master, err := openIn(pts)
	if err != nil {
		return nil, err
	}
	st, err := linux.Stat(master)
	if err == nil {
		err = isMultiplexer(&st)
	}
	if err != nil {
		master.Close()
		return nil, err
	}
	return master, nil
}

// openIn opens the multiplexer in its directory, whatever may be mounted over it.
func openIn(pts *os.File) (*os.File, error) {
	const (
		flags   = unix.O_RDWR | unix.O_NOCTTY | unix.O_NOFOLLOW
		resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
	)
	master, err := linux.OpenAt2(pts, "ptmx", flags, 0, resolve)
	if errors.Is(err, unix.EXDEV) {
		return nil, errNotMultiplexer
	}
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return master, err
	}
	// Without openat2: look first, so that nothing else is opened.
	st, err := linux.StatAt(pts, "ptmx")
	if err == nil {
		err = isMultiplexer(&st)
	}
	if err != nil {
		return nil, err
	}
	return linux.OpenAt(pts, "ptmx", flags, 0)
}

var errNotMultiplexer = errors.New("/dev/pts/ptmx is not the multiplexer of a devpts")

func isMultiplexer(st *unix.Stat_t) error {
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Ino != ptmxInode || st.Rdev != unix.Mkdev(ptmxMajor, ptmxMinor) {
		return errNotMultiplexer
	}
	return nil
}

// openPeer sets the terminal up and opens the process's end, through the master and not
// by a name.
func (s OpenConsole) openPeer(master *os.File) (*os.File, error) {
	fd := int(master.Fd())
	defer runtime.KeepAlive(master)
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, os.NewSyscallError("ioctl TIOCSPTLCK", err)
	}
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, flags)
	if errno != 0 {
		return nil, os.NewSyscallError("ioctl TIOCGPTPEER", errno)
	}
	peer := os.NewFile(n, "/dev/console")
	if err := s.setUp(master, peer); err != nil {
		peer.Close()
		return nil, err
	}
	return peer, nil
}

func (s OpenConsole) setUp(master, peer *os.File) error {
	if s.Rows|s.Columns != 0 {
		size := unix.Winsize{Row: s.Rows, Col: s.Columns}
		if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &size); err != nil {
			return os.NewSyscallError("ioctl TIOCSWINSZ", err)
		}
	}
	if s.Root != nil {
		return s.Root.take(peer)
	}
	if s.UID == 0 {
		return nil
	}
	// The group stays what the devpts gives, which is how others may write to it.
	if err := unix.Fchown(int(peer.Fd()), int(s.UID), -1); err != nil {
		return &os.PathError{Op: "fchown", Path: peer.Name(), Err: err}
	}
	return nil
}

// place shows the terminal as /dev/console: what stands there is neither followed nor
// opened (CVE-2026-88264).
func place(root, peer *os.File) error {
	dev, err := safepath.OpenNoLinks(root, "dev", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("cannot place the terminal on /dev/console: %w", err)
	}
	defer dev.Close()
	if err := placeIn(dev, peer); err != nil {
		return fmt.Errorf("cannot place the terminal on /dev/console: %w", err)
	}
	return nil
}

func placeIn(dev, peer *os.File) error {
	// Mknod is exclusive and follows nothing.
	err := linux.MknodAt(dev, "console", unix.S_IFREG|0o600, 0)
	if err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EROFS) {
		return err
	}
	target, err := linux.OpenAt(dev, "console", unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer target.Close()
	st, err := linux.Stat(target)
	if err != nil {
		return err
	}
	if k := st.Mode & unix.S_IFMT; k == unix.S_IFLNK || k == unix.S_IFDIR {
		return errors.New("it is a link or a directory")
	}
	tree, err := linux.OpenTree(peer, "", unix.OPEN_TREE_CLONE)
	if err != nil {
		return err
	}
	defer tree.Close()
	return linux.MoveMount(tree, target)
}
