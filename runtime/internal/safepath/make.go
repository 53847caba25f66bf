package safepath

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
)

// MkdirAll makes the directory unsafePath and its missing parents inside root, with the
// given mode (the umask applies), and returns an O_PATH handle of it. Links are followed
// inside root, also those that lead to nothing yet. Components are made one by one, each by
// the handle of its parent, so that a parent swapped meanwhile (CVE-2024-45310) cannot lead
// out of the root.
func MkdirAll(root *os.File, unsafePath string, mode uint32) (*os.File, error) {
	f, err := Open(root, unsafePath, unix.O_PATH|unix.O_DIRECTORY)
	if !errors.Is(err, unix.ENOENT) {
		return f, err
	}
	dir, missing, err := deepest(root, unsafePath)
	if err != nil {
		return nil, err
	}
	return mkdirs(dir, missing, mode)
}

// mkdirs makes names below dir, which it closes.
func mkdirs(dir *os.File, names []string, mode uint32) (*os.File, error) {
	for _, name := range names {
		next, err := mkdir(dir, name, mode)
		dir.Close()
		if err != nil {
			return nil, err
		}
		dir = next
	}
	return dir, nil
}

// mkdir makes one directory, or accepts the one that came to be meanwhile.
func mkdir(dir *os.File, name string, mode uint32) (*os.File, error) {
	if err := linux.MkdirAt(dir, name, mode); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	return linux.OpenAt(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// deepest opens the deepest existing directory on the way to unsafePath, and returns the
// names that are missing below it, at least one.
func deepest(root *os.File, unsafePath string) (dir *os.File, missing []string, err error) {
	for range maxLinks {
		names := components(unsafePath)
		n := 0
		dir, n, err = deepestOf(root, names)
		if err != nil {
			return nil, nil, err
		}
		if n == len(names) { // made by another meanwhile
			dir.Close()
			return nil, nil, &os.PathError{Op: "mkdirat", Path: unsafePath, Err: unix.EEXIST}
		}
		missing = names[n:]
		if slices.Contains(missing, "..") {
			// It would change its meaning as soon as the names before it exist.
			dir.Close()
			return nil, nil, &os.PathError{Op: "mkdirat", Path: unsafePath, Err: unix.ENOENT}
		}
		// A link that leads to nothing: images have them (/etc/resolv.conf), and what is
		// missing is what it points to.
		link, err := linux.ReadlinkAt(dir, missing[0])
		if err != nil {
			return dir, missing, nil
		}
		dir.Close()
		if !path.IsAbs(link) {
			link = strings.Join(names[:n], "/") + "/" + link
		}
		unsafePath = link + "/" + strings.Join(missing[1:], "/")
	}
	return nil, nil, &os.PathError{Op: "openat2", Path: unsafePath, Err: unix.ELOOP}
}

// deepestOf opens the directory of the longest run of names that exist.
func deepestOf(root *os.File, names []string) (*os.File, int, error) {
	for n := len(names); ; n-- {
		dir, err := Open(root, strings.Join(names[:n], "/"), unix.O_PATH|unix.O_DIRECTORY)
		if n == 0 || !errors.Is(err, unix.ENOENT) {
			return dir, n, err
		}
	}
}

func components(unsafePath string) []string {
	names := strings.Split(unsafePath, "/")
	return slices.DeleteFunc(names, func(name string) bool { return name == "" || name == "." })
}

// CreateFile makes an empty file inside root, with its missing parents, and returns an
// O_PATH handle of it. Links are followed inside root, also one that leads to nothing yet.
// A file that exists is left as it is; what it is, is for the caller to look at.
func CreateFile(root *os.File, unsafePath string, mode uint32) (*os.File, error) {
	f, err := Open(root, unsafePath, unix.O_PATH)
	if !errors.Is(err, unix.ENOENT) {
		return f, err
	}
	dir, missing, err := deepest(root, unsafePath)
	if err != nil {
		return nil, err
	}
	name := missing[len(missing)-1]
	dir, err = mkdirs(dir, missing[:len(missing)-1], 0o755)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	// mknod makes the file and opens nothing, so nothing else can be opened by mistake.
	err = linux.MknodAt(dir, name, unix.S_IFREG|mode, 0)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	return openPlain(dir, name)
}

// openPlain opens what stands in dir under this name and is no link.
func openPlain(dir *os.File, name string) (*os.File, error) {
	f, err := linux.OpenAt(dir, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	st, err := linux.Stat(f)
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		err = &os.PathError{Op: "openat", Path: f.Name(), Err: unix.ELOOP}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Parent opens the directory that the last component of unsafePath stands in, making it if
// it is missing, and returns that component's name.
func Parent(root *os.File, unsafePath string, mode uint32) (dir *os.File, name string, err error) {
	clean := Clean(unsafePath)
	name = path.Base(clean)
	if name == "." {
		return nil, "", &os.PathError{Op: "open", Path: unsafePath, Err: unix.EISDIR}
	}
	dir, err = MkdirAll(root, path.Dir(clean), mode)
	return dir, name, err
}

// Target opens the place for a mount. If there is nothing it is made, with mode 0755: a
// directory if wantDir says so (it is asked only then), else an empty file. What exists is
// returned whatever it is; attaching a mount of the wrong kind is ENOTDIR.
func Target(root *os.File, unsafePath string, wantDir func() (bool, error)) (*os.File, error) {
	f, err := Open(root, unsafePath, unix.O_PATH)
	if !errors.Is(err, unix.ENOENT) {
		return f, err
	}
	dir, err := wantDir()
	if err != nil {
		return nil, err
	}
	if dir {
		return MkdirAll(root, unsafePath, 0o755)
	}
	return CreateFile(root, unsafePath, 0o755)
}
