package safepath

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
)

// How paths in a root are resolved: symbolic links lead to places in the root, and magic
// links (/proc/self/fd/3) nowhere.
const inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// Open opens a path inside root, following symbolic links inside root. Flags are those of
// open(2); O_CLOEXEC is always added, O_CREAT must not be used. The error keeps the errno:
// ENOENT, ENOTDIR, ELOOP (also for a magic link).
func Open(root *os.File, unsafePath string, flags int) (*os.File, error) {
	return open(root, unsafePath, flags, inRoot)
}

// OpenLast is Open, but does not follow a link in the last component: with O_PATH, the
// handle is the link's own.
func OpenLast(root *os.File, unsafePath string, flags int) (*os.File, error) {
	return open(root, unsafePath, flags|unix.O_NOFOLLOW, inRoot)
}

// OpenNoLinks is Open for a path of which no component may be a symbolic link: ELOOP if
// one is.
func OpenNoLinks(root *os.File, unsafePath string, flags int) (*os.File, error) {
	return open(root, unsafePath, flags|unix.O_NOFOLLOW, inRoot|unix.RESOLVE_NO_SYMLINKS)
}

// How long the kernel is asked again when names move or mounts change anywhere on the
// host while it resolves a path with ".." in it.
const (
	minTries = 128
	patience = 50 * time.Millisecond
)

func open(root *os.File, unsafePath string, flags int, resolve uint64) (*os.File, error) {
	f, err := linux.OpenAt2(root, relative(unsafePath), flags, 0, resolve)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, unix.EAGAIN) {
		f, err = openAgain(root, unsafePath, flags, resolve)
	}
	switch {
	case err != nil && walkInstead(err):
		return walkOpen(root, unsafePath, flags, resolve&unix.RESOLVE_NO_SYMLINKS == 0)
	case errors.Is(err, unix.ELOOP) && resolve == inRoot:
		err = explainLoop(root, unsafePath, err)
	}
	return f, err
}

// A magicLink is the ELOOP of a link of a procfs that leads to no path.
type magicLink struct{}

func (magicLink) Error() string { return "a link of /proc leads outside of the container root" }

func (magicLink) Unwrap() error { return unix.ELOOP }

// explainLoop tells a magic link from a loop. Within a root the kernel follows neither, but
// asked without the flag that forbids magic links it has an errno of their own.
func explainLoop(root *os.File, unsafePath string, err error) error {
	f, again := linux.OpenAt2(root, relative(unsafePath), unix.O_PATH, 0, unix.RESOLVE_IN_ROOT)
	if again == nil {
		f.Close()
	}
	if errors.Is(again, unix.EXDEV) {
		return &os.PathError{Op: "openat2", Path: unsafePath, Err: magicLink{}}
	}
	return err
}

// A notDirectory is the ENOTDIR of a path, with the file that should be a directory.
type notDirectory struct{ unsafePath string }

func (e notDirectory) Error() string {
	return strconv.Quote("/"+e.unsafePath) + " is not a directory"
}

func (notDirectory) Unwrap() error { return unix.ENOTDIR }

// ExplainNotDir finds out for an ENOTDIR of Open and its like which file on the way is in
// the way. Other errors are returned as they are.
func ExplainNotDir(root *os.File, unsafePath string, err error) error {
	if !errors.Is(err, unix.ENOTDIR) {
		return err
	}
	names := components(unsafePath)
	for n := 1; n < len(names); n++ {
		at := strings.Join(names[:n], "/")
		f, openErr := Open(root, at, unix.O_PATH|unix.O_DIRECTORY)
		if errors.Is(openErr, unix.ENOTDIR) {
			return notDirectory{at}
		}
		if openErr != nil {
			break
		}
		f.Close()
	}
	return err
}

// openAgain tries for a while. A deadline alone could pass in one try on a busy host; a
// count alone passes in no time.
func openAgain(root *os.File, unsafePath string, flags int, resolve uint64) (f *os.File, err error) {
	var deadline time.Time
	for n := 0; ; n++ {
		f, err = linux.OpenAt2(root, relative(unsafePath), flags, 0, resolve)
		if !errors.Is(err, unix.EAGAIN) {
			return f, err
		}
		if n == 0 {
			deadline = time.Now().Add(patience)
		}
		if n >= minTries && time.Now().After(deadline) {
			return nil, err
		}
	}
}

// walkInstead reports whether openat2 is not there: an old kernel, or the seccomp filter
// of a container around us. EPERM can also mean the file, and then the walk says so. After
// EAGAIN to the end of our patience the walk, which can tell, decides.
func walkInstead(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EAGAIN)
}

// relative makes a path inside a root one that can be given to a call with the root's
// handle.
func relative(unsafePath string) string {
	if p := strings.TrimLeft(unsafePath, "/"); p != "" {
		return p
	}
	return "."
}

// Clean is the path without "." and "..", as if the root were "/", relative to the root.
// It is lexical: right for names to be made and for comparing, never a substitute for
// resolving.
func Clean(unsafePath string) string { return relative(path.Clean("/" + unsafePath)) }
