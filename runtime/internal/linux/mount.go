package linux

import (
	"errors"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenTree is open_tree(2): with OPEN_TREE_CLONE a detached copy of the mount at path,
// with AT_RECURSIVE too of the mounts below it. Dir nil is the working directory; path ""
// is dir itself.
func OpenTree(dir *os.File, path string, flags uint) (*os.File, error) {
	if path == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var fd int
	err := again(func() (err error) {
		fd, err = unix.OpenTree(number(dir), path, flags|unix.OPEN_TREE_CLOEXEC)
		return err
	})
	runtime.KeepAlive(dir)
	if err != nil {
		return nil, atPath("open_tree", dir, path, err)
	}
	return newFile(fd, dir, path), nil
}

// MoveMount attaches the detached mount on target, a handle of the place. The handle of
// the mount stays good.
func MoveMount(mount, target *os.File) error {
	const flags = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	err := again(func() error {
		return unix.MoveMount(int(mount.Fd()), "", int(target.Fd()), "", flags)
	})
	runtime.KeepAlive(mount)
	runtime.KeepAlive(target)
	return atPath("move_mount", target, "", err)
}

// A MountAttr is what mount_setattr(2) changes about a mount.
type MountAttr struct {
	Set, Clear  uint64   // MOUNT_ATTR_*
	Propagation uint64   // MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, or 0
	UserNS      *os.File // with MOUNT_ATTR_IDMAP in Set
	Recursive   bool     // the mounts below too
}

// SetMountAttr is mount_setattr(2) on a handle of a mount. A kernel before 5.12 gives an
// Unsupported.
func SetMountAttr(mount *os.File, a MountAttr) error {
	attr := unix.MountAttr{Attr_set: a.Set, Attr_clr: a.Clear, Propagation: a.Propagation}
	if a.UserNS != nil {
		attr.Userns_fd = uint64(a.UserNS.Fd())
	}
	flags := uint(unix.AT_EMPTY_PATH)
	if a.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	err := again(func() error { return unix.MountSetattr(int(mount.Fd()), "", flags, &attr) })
	runtime.KeepAlive(mount)
	runtime.KeepAlive(a.UserNS)
	if errors.Is(err, unix.ENOSYS) {
		return &Unsupported{Feature: "mount attributes by handle", Since: "5.12", Err: err}
	}
	return atPath("mount_setattr", mount, "", err)
}

// Mount is mount(2).
func Mount(source, target, fstype string, flags uintptr, data string) error {
	err := again(func() error { return unix.Mount(source, target, fstype, flags, data) })
	return atPath("mount", nil, target, err)
}

// Unmount is umount2(2).
func Unmount(target string, flags int) error {
	err := again(func() error { return unix.Unmount(target, flags) })
	return atPath("umount2", nil, target, err)
}

// A Filesystem is a file system being configured, before it is mounted: fsopen(2) and
// fspick(2).
type Filesystem struct {
	kind string
	fd   int
}

// NewFilesystem begins a file system of this kind. One that the kernel does not know is
// ENODEV.
func NewFilesystem(kind string) (*Filesystem, error) {
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, &FilesystemError{Call: "fsopen", Kind: kind, Err: err}
	}
	return &Filesystem{kind, fd}, nil
}

// PickFilesystem takes the file system of a mount, to reconfigure it.
func PickFilesystem(mount *os.File) (*Filesystem, error) {
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Fspick(int(mount.Fd()), "", unix.FSPICK_CLOEXEC|unix.FSPICK_EMPTY_PATH)
		return err
	})
	runtime.KeepAlive(mount)
	if err != nil {
		return nil, atPath("fspick", mount, "", err)
	}
	return &Filesystem{mount.Name(), fd}, nil
}

// MaxValue is the longest value that Set can give, in bytes; the kernel refuses longer
// ones.
const MaxValue = 255

// Set gives a parameter its value.
func (fs *Filesystem) Set(key, value string) error {
	err := again(func() error { return unix.FsconfigSetString(fs.fd, key, value) })
	return fs.fail("fsconfig", key, err)
}

// Flag gives a parameter that has no value.
func (fs *Filesystem) Flag(key string) error {
	err := again(func() error { return unix.FsconfigSetFlag(fs.fd, key) })
	return fs.fail("fsconfig", key, err)
}

// Create makes the file system, so that it can be mounted.
func (fs *Filesystem) Create() error {
	err := again(func() error { return unix.FsconfigCreate(fs.fd) })
	return fs.fail("fsconfig", "", err)
}

// Reconfigure gives the parameters to the file system that was picked.
func (fs *Filesystem) Reconfigure() error {
	err := again(func() error { return unix.FsconfigReconfigure(fs.fd) })
	return fs.fail("fsconfig", "", err)
}

// Mount makes a detached mount of the file system, with attributes MOUNT_ATTR_*.
func (fs *Filesystem) Mount(attr uint64) (*os.File, error) {
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Fsmount(fs.fd, unix.FSMOUNT_CLOEXEC, int(attr))
		return err
	})
	if err != nil {
		return nil, fs.fail("fsmount", "", err)
	}
	return os.NewFile(uintptr(fd), fs.kind), nil
}

// Close lets go of the configuration; mounts of it stay.
func (fs *Filesystem) Close() { unix.Close(fs.fd) }

// fail adds what the kernel says about the failure: the context is also a log.
func (fs *Filesystem) fail(call, key string, err error) error {
	if err == nil {
		return nil
	}
	e := &FilesystemError{Call: call, Kind: fs.kind, Key: key, Err: err}
	b := make([]byte, 512)
	for range 8 { // one message per read; more would be a flood
		n, readErr := unix.Read(fs.fd, b)
		if readErr != nil || n < 2 {
			break
		}
		if b[0] == 'e' { // "e tmpfs: Bad value for 'size'"; others are warnings and notes
			e.Log = strings.TrimSpace(string(b[2:n]))
		}
	}
	return e
}

// A FilesystemError says what could not be configured, in the kernel's words if it had any.
type FilesystemError struct {
	Call string // the real call
	Kind string // the file system
	Key  string // the parameter; "" if it is about all of them
	Log  string // what the kernel wrote about it; may be empty
	Err  error
}

func (e *FilesystemError) Error() string {
	s := e.Call + " " + e.Kind
	if e.Key != "" {
		s += " " + short(e.Key)
	}
	if e.Log != "" {
		s += " (" + e.Log + ")"
	}
	return s + ": " + e.Err.Error()
}

// short cuts what somebody else has chosen to a length that a message can bear.
func short(key string) string {
	const enough = 64
	if len(key) <= enough {
		return key
	}
	return strings.ToValidUTF8(key[:enough], "") + "…"
}

// Unwrap returns the errno.
func (e *FilesystemError) Unwrap() error { return e.Err }
