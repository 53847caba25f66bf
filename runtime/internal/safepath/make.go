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
	return create(root, unsafePath, unix.S_IFDIR|mode)
}

// CreateFile makes an empty file inside root, with its missing parents, and returns an
// O_PATH handle of it. Links are followed inside root, also one that leads to nothing yet.
// A file that exists is left as it is; what it is, is for the caller to look at.
func CreateFile(root *os.File, unsafePath string, mode uint32) (*os.File, error) {
	f, err := Open(root, unsafePath, unix.O_PATH)
	if !errors.Is(err, unix.ENOENT) {
		return f, err
	}
	return create(root, unsafePath, unix.S_IFREG|mode)
}

// create makes what is missing on the way to unsafePath: directories, and in the end a
// directory or a file, as mode says.
func create(root *os.File, unsafePath string, mode uint32) (*os.File, error) {
	for range maxLinks {
		names := components(unsafePath)
		dir, n, err := deepest(root, names)
		if err != nil {
			return nil, err
		}
		missing := names[n:]
		if slices.Contains(missing, "..") {
			// It would change its meaning as soon as the names before it exist.
			dir.Close()
			return nil, &os.PathError{Op: "mkdirat", Path: unsafePath, Err: unix.ENOENT}
		}
		f, link, err := createBelow(dir, missing, mode)
		if link == "" {
			return f, err
		}
		// A link that leads to nothing: images have them (/etc/resolv.conf), and what is
		// missing is what it points to.
		if !path.IsAbs(link) {
			link = strings.Join(names[:n], "/") + "/" + link
		}
		unsafePath = link + "/" + strings.Join(missing[1:], "/")
	}
	return nil, &os.PathError{Op: "openat2", Path: unsafePath, Err: unix.ELOOP}
}

// deepest opens the directory of the longest run of names that exist, the last one not
// considered, and says how long it is.
func deepest(root *os.File, names []string) (*os.File, int, error) {
	for n := max(len(names)-1, 0); ; n-- {
		dir, err := Open(root, strings.Join(names[:n], "/"), unix.O_PATH|unix.O_DIRECTORY)
		if n == 0 || !errors.Is(err, unix.ENOENT) {
			return dir, n, err
		}
	}
}

// createBelow makes names below dir, which it closes. If the first one is a link, what it
// says is returned instead.
func createBelow(dir *os.File, names []string, mode uint32) (f *os.File, link string, err error) {
	for i, name := range names {
		isDir := i < len(names)-1 || mode&unix.S_IFMT == unix.S_IFDIR
		switch {
		case !isDir:
			// Mknod makes the file and opens nothing, so nothing else can be opened by mistake.
			err = linux.MknodAt(dir, name, mode, 0)
		case mode&unix.S_IFMT == unix.S_IFDIR:
			err = linux.MkdirAt(dir, name, mode&0o7777)
		default:
			err = linux.MkdirAt(dir, name, 0o755)
		}
		if errors.Is(err, unix.EEXIST) {
			err = nil // made by another meanwhile
			if i == 0 {
				link, _ = linux.ReadlinkAt(dir, name)
			}
		}
		if err == nil && link == "" {
			f, err = openPlain(dir, name, isDir)
		}
		dir.Close()
		if err != nil || link != "" {
			return nil, link, err
		}
		dir = f
	}
	return dir, "", nil
}

func components(unsafePath string) []string {
	names := strings.Split(unsafePath, "/")
	return slices.DeleteFunc(names, func(name string) bool { return name == "" || name == "." })
}

// openPlain opens what stands in dir under this name and is no link.
func openPlain(dir *os.File, name string, isDir bool) (*os.File, error) {
	if isDir {
		return linux.OpenAt(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
	}
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
		return create(root, unsafePath, unix.S_IFDIR|0o755)
	}
	return create(root, unsafePath, unix.S_IFREG|0o755)
}
