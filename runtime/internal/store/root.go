package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// A Root is the directory that holds the directories of all containers.
type Root struct {
	path string
	f    *os.File
}

// OpenOptions says how to open a root.
type OpenOptions struct {
	// Create makes the directory, and missing parents, if it is absent.
	Create bool
	// Sticky gives a directory that is made here the sticky bit, which keeps
	// those who clean XDG_RUNTIME_DIR away from it.
	Sticky bool
}

// Open opens the root. It must be a directory, not a link to one, that belongs to
// the caller and that nobody else may write to. Every error names the option
// --root; one for a directory that is not there wraps fs.ErrNotExist.
func Open(path string, opt OpenOptions) (*Root, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, rootError(path, err)
	}
	if abs == "/" {
		return nil, errors.New("Option --root argument should not be set to /") //nolint:staticcheck // callers match these words
	}
	fd, err := openRoot(abs)
	if isNotExist(err) && opt.Create {
		if err = createRoot(abs, opt.Sticky); err == nil {
			fd, err = openRoot(abs)
		}
	}
	if err != nil {
		return nil, rootError(path, err)
	}
	r := &Root{path: abs, f: os.NewFile(uintptr(fd), abs)}
	return r, nil
}

func openRoot(path string) (int, error) {
	fd, err := retryOpen(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return -1, errors.New("must be a directory, not a symbolic link")
		}
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = checkOwner(&st)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func createRoot(path string, sticky bool) error {
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	at, err := retryOpen(func() (int, error) {
		return unix.Open(parent, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return err
	}
	defer unix.Close(at)
	mode := uint32(0o700)
	if sticky {
		mode |= unix.S_ISVTX
	}
	fd, err := makeDir(at, filepath.Base(path), mode)
	if errors.Is(err, unix.EEXIST) {
		return nil // another command was quicker
	}
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// Path is the root's absolute path.
func (r *Root) Path() string { return r.path }

// FD is the root's descriptor.
func (r *Root) FD() int { return int(r.f.Fd()) }

// Close closes the root. Directories opened from it must be closed first.
func (r *Root) Close() error { return r.f.Close() }

// Create makes the directory of a new container, locks it and writes the intent, which is
// all of the record but what config.json says; Draft or Save makes the record. Version, ID,
// Token, BootID, Phase and Created are filled in where they are empty. Of several callers
// one wins, the others get ErrExists; after any other error nothing is left.
func (r *Root) Create(id string, rec *Record) (*Dir, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	if err := rec.fill(id); err != nil {
		return nil, fmt.Errorf("cannot create container %s: %w", id, err)
	}
	fd, err := makeDir(int(r.f.Fd()), id, 0o700)
	if errors.Is(err, unix.EEXIST) {
		return nil, r.taken(id)
	}
	if isNotExist(err) && r.stillThere() {
		return nil, fmt.Errorf("cannot create container %s: deleted meanwhile: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot create the directory of container %s: %w", id, err)
	}
	d := newDir(r, id, fd)
	if err := d.claim(); err != nil {
		d.Close()
		return nil, err
	}
	if err := d.writeIntent(rec); err != nil {
		err = fmt.Errorf("cannot create container %s: %w", id, err)
		if e := d.remove(); e != nil {
			err = errors.Join(err, e)
		}
		d.Close()
		return nil, err
	}
	return d, nil
}

// claim locks a directory that was just made and opened. It need not be the same one:
// between the two a delete --force that saw an empty directory may have removed it, and
// another create may have made it again. Whoever has the lock first and finds it empty
// owns it. The wait is for that delete or that create.
func (d *Dir) claim() error {
	err := d.lockNow()
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("cannot create container %s: deleted meanwhile: %w", d.id, ErrNotFound)
	}
	var names []string
	if err == nil {
		names, err = readNames(d.FD())
	}
	if err != nil {
		_ = d.unlink() // which it does only if it is empty
		return fmt.Errorf("cannot create container %s: %w", d.id, err)
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: %s", ErrExists, d.id)
	}
	return nil
}

// stillThere says that it is not the root itself that has been removed.
func (r *Root) stillThere() bool {
	var st unix.Stat_t
	return unix.Fstat(int(r.f.Fd()), &st) == nil && st.Nlink > 0
}

// taken says what stands in the place of a directory that could not be made.
func (r *Root) taken(id string) error {
	var st unix.Stat_t
	err := unix.Fstatat(int(r.f.Fd()), id, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("%w: %s: %w", ErrExists, id, ErrForeign)
	}
	if r.nobodys(id) {
		return fmt.Errorf("%w: %s: %w", ErrExists, id, ErrForeign)
	}
	return fmt.Errorf("%w: %s", ErrExists, id)
}

// nobodys reports whether a directory of the root is no container's: it has no record, and
// nobody is making one.
func (r *Root) nobodys(id string) bool {
	d, err := r.Open(id)
	if err != nil {
		return false
	}
	defer d.Close()
	if free, err := d.TryLock(); err != nil || !free {
		return false
	}
	for _, name := range []string{recordName, intentName} {
		if err := unix.Faccessat(d.FD(), name, unix.F_OK, 0); !errors.Is(err, unix.ENOENT) {
			return false
		}
	}
	return true
}

// Open opens the directory of a container, without locking it. The error wraps
// ErrNotFound if there is none, and ErrForeign if something else has its name.
func (r *Root) Open(id string) (*Dir, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	fd, err := openDir(int(r.f.Fd()), id)
	switch {
	case isNotExist(err):
		return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("cannot open container %s: %w", id, ErrForeign)
	case errors.Is(err, unix.EXDEV):
		return nil, fmt.Errorf("cannot open container %s: something is mounted on %s", id, filepath.Join(r.path, id))
	case err != nil:
		return nil, fmt.Errorf("cannot open container %s: %w", id, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = checkOwner(&st)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot open container %s: %s: %w", id, filepath.Join(r.path, id), err)
	}
	return newDir(r, id, fd), nil
}

// Discard removes an entry of the root that is not a directory, for delete --force
// after Open said ErrForeign. That nothing is there is no error.
func (r *Root) Discard(id string) error {
	if err := CheckID(id); err != nil {
		return err
	}
	err := retry(func() error { return unix.Unlinkat(int(r.f.Fd()), id, 0) })
	if err != nil && !isNotExist(err) {
		return fmt.Errorf("cannot remove %s: %w", filepath.Join(r.path, id), err)
	}
	return nil
}

// List returns the IDs of all containers, sorted. Entries of the root that cannot
// be containers are left out; a directory without a usable record is not.
func (r *Root) List() ([]string, error) {
	fd, err := openDir(int(r.f.Fd()), ".")
	if err != nil {
		return nil, rootError(r.path, err)
	}
	f := os.NewFile(uintptr(fd), r.path)
	defer f.Close()
	var ids []string
	for {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			if e.IsDir() && CheckID(e.Name()) == nil {
				ids = append(ids, e.Name())
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, rootError(r.path, err)
		}
	}
	slices.Sort(ids)
	return ids, nil
}
