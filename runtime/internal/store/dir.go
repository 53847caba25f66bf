package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	recordName = "state.json"
	intentName = "intent.json"

	// maxRecord is the largest record that is read. A config.json of many
	// megabytes works; a file of spaces does not fill our memory.
	maxRecord = 16 << 20
)

// A Dir is the directory of one container. It stands for this very directory: when
// it is removed and made again under the same name, the old Dir does not reach the
// new one. A Dir is used by one goroutine at a time.
type Dir struct {
	root *Root
	id   string
	f    *os.File
	lock *os.File // holds the lock; a descriptor of its own, so that waiting can be given up
}

func newDir(r *Root, id string, fd int) *Dir {
	return &Dir{root: r, id: id, f: os.NewFile(uintptr(fd), filepath.Join(r.path, id))}
}

// Adopt returns the directory of a container, and the root it lies in, by descriptors of
// them that another program has left to this one. If lock is not -1 it is an open file that
// holds the lock. Closing the Dir does not close the Root.
func Adopt(path string, root, dir, lock int, id string) (*Root, *Dir) {
	r := &Root{path: path, f: os.NewFile(uintptr(root), path)}
	d := newDir(r, id, dir)
	if lock >= 0 {
		d.lock = os.NewFile(uintptr(lock), d.Path())
	}
	return r, d
}

// ID is the container's ID.
func (d *Dir) ID() string { return d.id }

// Path is the directory's absolute path.
func (d *Dir) Path() string { return d.f.Name() }

// File is the open directory, for those who keep their own files in it. It is
// closed by Close.
func (d *Dir) File() *os.File { return d.f }

// FD is the descriptor of File.
func (d *Dir) FD() int { return int(d.f.Fd()) }

// Close releases the lock, if it is held, and closes the directory.
func (d *Dir) Close() error {
	d.Unlock()
	return d.f.Close()
}

// Locked says whether this Dir holds the lock.
func (d *Dir) Locked() bool { return d.lock != nil }

// LockFD is the descriptor of the open file that holds the lock; -1 if nobody does here.
func (d *Dir) LockFD() int {
	if d.lock == nil {
		return -1
	}
	return int(d.lock.Fd())
}

// Lock takes the exclusive lock that every command which changes the container
// holds, and waits for it until ctx is done. The error wraps ErrNotFound if the
// container was deleted meanwhile.
func (d *Dir) Lock(ctx context.Context) error {
	if d.lock != nil {
		return nil
	}
	f, err := d.lockFile()
	if err != nil {
		return err
	}
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		if f, err = wait(ctx, f); err != nil {
			return fmt.Errorf("cannot lock container %s: another command holds it: %w", d.id, err)
		}
	} else if err != nil {
		f.Close()
		return fmt.Errorf("cannot lock container %s: %w", d.id, err)
	}
	d.lock = f
	return d.stillThere()
}

// TryLock takes the lock if it is free, and says whether it got it.
func (d *Dir) TryLock() (bool, error) {
	if d.lock != nil {
		return true, nil
	}
	f, err := d.lockFile()
	if err != nil {
		return false, err
	}
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return false, nil
		}
		return false, fmt.Errorf("cannot lock container %s: %w", d.id, err)
	}
	d.lock = f
	if err := d.stillThere(); err != nil {
		return false, err
	}
	return true, nil
}

// lockNow is Lock for a directory that we have just made.
func (d *Dir) lockNow() error { return d.Lock(context.Background()) }

// Unlock releases the lock, if it is held.
func (d *Dir) Unlock() {
	if d.lock == nil {
		return
	}
	// Not only by closing: a process that is being started just now has the
	// descriptor too, until its execve.
	_ = flock(d.lock, unix.LOCK_UN)
	d.lock.Close()
	d.lock = nil
}

// lockFile opens the directory once more, since a lock belongs to an open file.
func (d *Dir) lockFile() (*os.File, error) {
	fd, err := openDir(d.FD(), ".")
	if isNotExist(err) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, d.id)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock container %s: %w", d.id, err)
	}
	return os.NewFile(uintptr(fd), d.Path()), nil
}

// wait blocks in flock on a thread of its own: the kernel wakes it at the right
// moment, and nobody polls. Given up, the thread stays until it gets the lock, and
// then lets it go.
func wait(ctx context.Context, f *os.File) (*os.File, error) {
	got := make(chan error)
	go func() {
		err := flock(f, unix.LOCK_EX)
		select {
		case got <- err:
		case <-ctx.Done():
			f.Close()
		}
	}()
	select {
	case err := <-got:
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func flock(f *os.File, how int) error {
	fd := int(f.Fd())
	return retry(func() error { return unix.Flock(fd, how) })
}

// stillThere is asked after a wait: the one who had the lock may have deleted the
// container. A removed directory has no links.
func (d *Dir) stillThere() error {
	var st unix.Stat_t
	if err := unix.Fstat(d.FD(), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Nlink == 0 {
		d.Unlock()
		return fmt.Errorf("%w: %s", ErrNotFound, d.id)
	}
	return nil
}

// Gone reports whether the directory was removed since it was opened.
func (d *Dir) Gone() bool {
	var st unix.Stat_t
	return unix.Fstat(d.FD(), &st) == nil && st.Nlink == 0
}

// A Stamp is the record's file as it is at a moment (statx(2), stx_ino and stx_ctime).
// Whoever saves a record makes another one of it.
type Stamp struct {
	Inode       uint64
	Seconds     int64
	Nanoseconds uint32
}

// Stamp returns the record's.
func (d *Dir) Stamp() (Stamp, error) {
	var st unix.Statx_t
	if err := unix.Statx(d.FD(), recordName, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_INO|unix.STATX_CTIME, &st); err != nil {
		return Stamp{}, os.NewSyscallError("statx", err)
	}
	return Stamp{Inode: st.Ino, Seconds: st.Ctime.Sec, Nanoseconds: st.Ctime.Nsec}, nil
}

// RecordFiles are the names of the files that hold the record, in the order in which Remove
// removes them, after all others. The first one is the one that has a Stamp.
func RecordFiles() []string { return []string{recordName, intentName} }

// Load reads the record. It needs no lock. A file that is missing, damaged, of
// somebody else or no file at all gives a [*CorruptError]; one of a newer version
// gives what could be read of it and an error that wraps ErrNewer.
func (d *Dir) Load() (*Record, error) { return d.load(recordName) }

// LoadIntent reads the copy of the record that is kept for the case that the record
// is lost: everything but Config. Errors are those of Load.
func (d *Dir) LoadIntent() (*Record, error) { return d.load(intentName) }

func (d *Dir) load(name string) (*Record, error) {
	path := filepath.Join(d.Path(), name)
	data, err := d.read(name)
	if err != nil {
		return nil, &CorruptError{Path: path, Offset: -1, Err: err}
	}
	rec, err := decodeRecord(data)
	if err != nil && !errors.Is(err, ErrNewer) {
		bad := &CorruptError{Path: path, Offset: -1, Err: err}
		if at := (*syntaxError)(nil); errors.As(err, &at) {
			bad.Offset = int64(at.offset)
		}
		return nil, bad
	}
	if rec.ID != d.id {
		return nil, &CorruptError{Path: path, Offset: -1, Err: fmt.Errorf("id mismatch: %q in the file, %q is the directory", rec.ID, d.id)}
	}
	if err != nil {
		return rec, fmt.Errorf("cannot use %s: %w", path, err)
	}
	return rec, nil
}

// read reads a file of ours, trusting nothing about it.
func (d *Dir) read(name string) ([]byte, error) {
	fd, err := openFile(d.FD(), name)
	switch {
	case isNotExist(err):
		// Both words, because both are true and tested for.
		return nil, fmt.Errorf("%w: %w", ErrNoRecord, err)
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO):
		return nil, errors.New("not a regular file")
	case err != nil:
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("not a regular file")
	}
	if err := checkOwner(&st); err != nil {
		return nil, err
	}
	if st.Size == 0 {
		return nil, errors.New("empty file")
	}
	if st.Size > maxRecord {
		return nil, fmt.Errorf("%d bytes, more than %d", st.Size, maxRecord)
	}
	return readAll(fd, int(st.Size))
}

// readAll reads size bytes, or fewer if the file has become shorter.
func readAll(fd, size int) ([]byte, error) {
	data := make([]byte, size)
	for got := 0; got < size; {
		n, err := unix.Read(fd, data[got:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("read", err)
		}
		if n == 0 {
			return data[:got], nil
		}
		got += n
	}
	return data, nil
}
