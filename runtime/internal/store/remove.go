package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// removeDepth bounds how deep Remove goes; we make no directories at all.
	removeDepth = 64
	// removeReports bounds how many things that could not be removed are named.
	removeReports = 16
)

// Remove removes the directory and what is in it, and is done when it has gone;
// that it was gone already is no error. It takes the lock, if this Dir does not have
// it, does not wait for it, and releases it when all is gone.
//
// Links are removed, never followed. Nothing below a mount is touched. What cannot
// be removed is named in the error, and then the record stays as well, so that
// deleting can be tried again.
func (d *Dir) Remove() error {
	switch ok, err := d.TryLock(); {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("cannot remove the directory of container %s: another command holds its lock", d.id)
	}
	if err := d.remove(); err != nil {
		return err
	}
	d.Unlock() // so that those who wait learn at once that there is nothing left
	return nil
}

// remove is Remove without the lock.
func (d *Dir) remove() error {
	r := &remover{}
	r.empty(d.FD(), d.Path(), 0, func(name string) bool { return name == recordName || name == intentName })
	if len(r.errs) == 0 {
		// Last, and the intent at the very end: killed here, we leave a
		// directory that can still be deleted.
		for _, name := range RecordFiles() {
			if err := r.one(d.FD(), d.Path(), name, 0); err != nil {
				r.report(filepath.Join(d.Path(), name), err)
			}
		}
	}
	if err := r.err(); err != nil {
		return fmt.Errorf("cannot remove the directory of container %s: %w", d.id, err)
	}
	return d.unlink()
}

// unlink removes the empty directory, if its name is still its own.
func (d *Dir) unlink() error {
	at := int(d.root.f.Fd())
	var mine, named unix.Stat_t
	if err := unix.Fstat(d.FD(), &mine); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	err := unix.Fstatat(at, d.id, &named, unix.AT_SYMLINK_NOFOLLOW)
	if isNotExist(err) || err == nil && (mine.Dev != named.Dev || mine.Ino != named.Ino) {
		return nil
	}
	if err == nil {
		err = remove(at, d.id, unix.AT_REMOVEDIR)
	}
	if err != nil {
		return fmt.Errorf("cannot remove %s: %w", d.Path(), err)
	}
	return nil
}

// remove is unlinkat for which it is enough that the name is gone.
func remove(at int, name string, flags int) error {
	err := retry(func() error { return unix.Unlinkat(at, name, flags) })
	if isNotExist(err) {
		return nil
	}
	return err
}

// A remover empties directories by handle and goes on when something resists.
type remover struct {
	errs  []error
	count int
}

func (r *remover) report(path string, err error) {
	r.count++
	if len(r.errs) < removeReports {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", path, err))
	}
}

func (r *remover) err() error {
	if more := r.count - len(r.errs); more > 0 {
		return errors.Join(append(r.errs, fmt.Errorf("and %d more", more))...)
	}
	return errors.Join(r.errs...)
}

// empty removes everything in a directory but what keep says. Path is only for
// messages.
func (r *remover) empty(fd int, path string, depth int, keep func(name string) bool) {
	names, err := readNames(fd)
	if err != nil {
		r.report(path, err)
		return
	}
	for _, name := range names {
		if keep != nil && keep(name) {
			continue
		}
		if err := r.one(fd, path, name, depth); err != nil {
			r.report(filepath.Join(path, name), err)
		}
	}
}

func (r *remover) one(at int, path, name string, depth int) error {
	err := remove(at, name, 0)
	// EISDIR is Linux's word for a directory, EPERM that of POSIX, and of an
	// immutable file; opening it as a directory tells.
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		if errors.Is(err, unix.EBUSY) {
			return errors.New("something is mounted on it")
		}
		return err
	}
	if depth >= removeDepth {
		return errors.New("nested too deeply")
	}
	fd, openErr := openDir(at, name)
	switch {
	case isNotExist(openErr):
		return nil
	case errors.Is(openErr, unix.ENOTDIR), errors.Is(openErr, unix.ELOOP):
		return err // no directory: the first error stands
	case errors.Is(openErr, unix.EXDEV):
		return errors.New("something is mounted on it")
	case openErr != nil:
		return openErr
	}
	before := r.count
	r.empty(fd, filepath.Join(path, name), depth+1, nil)
	unix.Close(fd)
	if r.count != before {
		return nil // what is inside has been reported
	}
	return remove(at, name, unix.AT_REMOVEDIR)
}

// readNames lists a directory from the start. It uses the descriptor itself, so
// that removing works when there are no more to be had.
func readNames(fd int) ([]string, error) {
	if _, err := unix.Seek(fd, 0, io.SeekStart); err != nil {
		return nil, os.NewSyscallError("lseek", err)
	}
	var names []string
	buf := make([]byte, 4<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case isNotExist(err):
			return nil, nil // removed, so empty
		case err != nil:
			return nil, os.NewSyscallError("getdents64", err)
		case n == 0:
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}
