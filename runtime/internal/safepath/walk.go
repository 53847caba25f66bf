package safepath

import (
	"errors"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
)

// maxLinks is the kernel's own limit of symbolic links in one path.
const maxLinks = 40

// walkOpen resolves a path without openat2: each component is opened by its parent's
// handle without following it, links are read from their handle, and ".." goes back to a
// handle that was held before, never through the file system, so nothing that is moved
// meanwhile can lead out of the root.
func walkOpen(root *os.File, unsafePath string, flags int, followLinks bool) (*os.File, error) {
	w := &walker{root: root, links: followLinks}
	defer w.close()
	rest := strings.Split(unsafePath, "/")
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			w.up()
			continue
		}
		more, err := w.down(name, last(rest) && flags&unix.O_NOFOLLOW != 0)
		if err != nil {
			return nil, err
		}
		rest = append(more, rest...)
	}
	return w.finish(flags)
}

func last(rest []string) bool {
	for _, name := range rest {
		if name != "" && name != "." {
			return false
		}
	}
	return true
}

// A walker stands somewhere in a root: on top of the stack of handles that led there.
type walker struct {
	root  *os.File
	stack []*os.File
	links bool
	seen  int
}

func (w *walker) here() *os.File {
	if len(w.stack) == 0 {
		return w.root
	}
	return w.stack[len(w.stack)-1]
}

func (w *walker) up() {
	if n := len(w.stack); n > 0 {
		w.stack[n-1].Close()
		w.stack = w.stack[:n-1]
	}
}

func (w *walker) close() {
	for len(w.stack) > 0 {
		w.up()
	}
}

// down goes to name, or returns the components that a link there stands for.
func (w *walker) down(name string, keepLink bool) ([]string, error) {
	f, err := linux.OpenAt(w.here(), name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	st, err := linux.Stat(f)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK || keepLink && w.links {
		if err != nil {
			f.Close()
			return nil, err
		}
		w.stack = append(w.stack, f)
		return nil, nil
	}
	defer f.Close()
	if w.seen++; !w.links || w.seen > maxLinks {
		return nil, &os.PathError{Op: "open", Path: f.Name(), Err: unix.ELOOP}
	}
	// A magic link reads like any other, but means something that is no path. No link of
	// a procfs is followed except /proc/self and its like, which are relative.
	target, err := linux.ReadlinkAt(f, "")
	if err != nil {
		return nil, err
	}
	magic, err := linux.FilesystemOf(f)
	if err != nil {
		return nil, err
	}
	if magic == unix.PROC_SUPER_MAGIC && (path.IsAbs(target) || strings.Contains(target, ":")) {
		return nil, &os.PathError{Op: "open", Path: f.Name(), Err: magicLink{}}
	}
	if path.IsAbs(target) {
		w.close()
	}
	return strings.Split(target, "/"), nil
}

// finish opens what the walk has arrived at with the flags that were asked for.
func (w *walker) finish(flags int) (*os.File, error) {
	if flags&unix.O_PATH == 0 {
		// Through the handle, not the name: the name may be another file by now.
		f, err := linux.OpenAt(nil, linux.ProcPath(w.here()), flags&^unix.O_NOFOLLOW, 0)
		if !errors.Is(err, unix.ENOENT) {
			return f, err
		}
	}
	if len(w.stack) > 0 {
		f := w.stack[len(w.stack)-1]
		if flags&unix.O_DIRECTORY != 0 {
			st, err := linux.Stat(f)
			if err != nil {
				return nil, err
			}
			if st.Mode&unix.S_IFMT != unix.S_IFDIR {
				return nil, &os.PathError{Op: "open", Path: f.Name(), Err: unix.ENOTDIR}
			}
		}
		w.stack = w.stack[:len(w.stack)-1]
		return f, nil
	}
	return linux.OpenAt(w.root, ".", unix.O_PATH|unix.O_DIRECTORY, 0)
}
