package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Save replaces the record. Whoever is killed at whatever moment, the old one or the new
// one is there. After an error the old record is still in place.
func (d *Dir) Save(rec *Record) error {
	draft, err := d.draft(rec)
	if err != nil {
		return err
	}
	// First the intent: it may be ahead of the record, never behind.
	if err := d.writeIntent(rec); err != nil {
		draft.remove()
		return err
	}
	return draft.Save()
}

// A Draft is a record that is written, and not yet in its place.
type Draft struct {
	d    *Dir
	temp string
}

// Draft writes the first record of a container that is nearly made. Save gives it its place;
// until then only the intent says what it will say, and that the container is being made. A
// draft that is forgotten is removed with the directory.
func (d *Dir) Draft(rec *Record) (*Draft, error) {
	draft, err := d.draft(rec)
	if err != nil {
		return nil, err
	}
	intent := *rec
	intent.Phase = PhaseCreating
	if err := d.writeIntent(&intent); err != nil {
		draft.remove()
		return nil, err
	}
	return draft, nil
}

func (d *Dir) draft(rec *Record) (*Draft, error) {
	temp, err := d.encoded(rec, recordName)
	return &Draft{d, temp}, err
}

// Save puts the draft in its place. It can be called once.
func (f *Draft) Save() error {
	if err := f.d.replace(recordName, f.temp); err != nil {
		f.remove()
		return fmt.Errorf("cannot write %s: %w", filepath.Join(f.d.Path(), recordName), err)
	}
	return nil
}

func (f *Draft) remove() { _ = unix.Unlinkat(f.d.FD(), f.temp, 0) }

// writeIntent replaces the intent.
func (d *Dir) writeIntent(rec *Record) error {
	temp, err := d.encoded(rec, intentName)
	if err != nil {
		return err
	}
	if err := d.replace(intentName, temp); err != nil {
		_ = unix.Unlinkat(d.FD(), temp, 0)
		return fmt.Errorf("cannot write %s: %w", filepath.Join(d.Path(), intentName), err)
	}
	return nil
}

// encoded writes a record beside its file.
func (d *Dir) encoded(rec *Record, name string) (temp string, err error) {
	if rec.ID != d.id {
		return "", fmt.Errorf("cannot save the record of %q as that of %s", rec.ID, d.id)
	}
	data, err := encodeRecord(rec, name == recordName)
	if err != nil {
		return "", fmt.Errorf("cannot save the record of container %s: %w", d.id, err)
	}
	if temp, err = d.beside(name, data); err != nil {
		return "", fmt.Errorf("cannot write %s: %w", filepath.Join(d.Path(), name), err)
	}
	return temp, nil
}

// replace gives a file the name of another, which is gone then. It does not rename the one
// over the other if it can help it: ext4 then writes the new one to the disk at once
// (auto_da_alloc, ext4(5)), and removing it takes ten times as long.
func (d *Dir) replace(name, temp string) error {
	err := retry(func() error {
		return unix.Renameat2(d.FD(), temp, d.FD(), name, unix.RENAME_EXCHANGE)
	})
	if err != nil { // there is none, or this file system cannot do that
		return d.rename(temp, name)
	}
	_ = unix.Unlinkat(d.FD(), temp, 0) // the old one; if it stays, it goes with the directory
	return nil
}

func (d *Dir) rename(from, to string) error {
	return retry(func() error { return unix.Renameat(d.FD(), from, d.FD(), to) })
}

// beside writes a file beside name. The random name keeps a file that a killed writer left
// behind out of the way; Remove takes such files too.
func (d *Dir) beside(name string, data []byte) (temp string, err error) {
	suffix, err := randomHex(8)
	if err != nil {
		return "", err
	}
	temp = "." + name + "." + suffix
	if err := d.write(temp, data); err != nil {
		_ = unix.Unlinkat(d.FD(), temp, 0)
		return "", err
	}
	return temp, nil
}

func (d *Dir) write(name string, data []byte) error {
	fd, err := retryOpen(func() (int, error) {
		return unix.Openat(d.FD(), name,
			unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return err
	}
	err = writeAll(fd, data)
	if err == nil {
		var st unix.Stat_t
		if err = unix.Fstat(fd, &st); err == nil {
			err = setMode(fd, st.Mode, 0o600)
		}
	}
	// There is no fsync, which costs milliseconds: a crash of the host ends all processes
	// and takes all cgroups that a record speaks of, and what it may leave of the record
	// can be deleted like any damaged one.
	// Close reports what network and quota file systems could not write before.
	return errors.Join(err, unix.Close(fd))
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.EIO
		}
		data = data[n:]
	}
	return nil
}

// Verify checks what a record says about processes and cgroups, the things that
// killing and removing act upon, against the intent record: it must not say anything
// that the intent does not. Both are written by one Save, so otherwise somebody
// changed one of them, and nothing may be killed on its word. The intent may know
// more, because it is written first. The error wraps ErrDiffers.
func (d *Dir) Verify(rec *Record) error {
	intent, err := d.LoadIntent()
	if err != nil {
		return err
	}
	if what := contradiction(rec, intent); what != "" {
		return fmt.Errorf("cannot trust %s: %s: %w", filepath.Join(d.Path(), recordName), what, ErrDiffers)
	}
	return nil
}

// contradiction names the first field of which rec says something else than intent.
func contradiction(rec, intent *Record) string {
	switch {
	case rec.Token != intent.Token:
		return "token"
	case rec.BootID != intent.BootID:
		return "boot_id"
	case rec.Pid != 0 && rec.Pid != intent.Pid:
		return "init_process_pid"
	case rec.Pid != 0 && rec.StartTime != intent.StartTime:
		return "init_process_start"
	case rec.Cgroup.Path != "" && rec.Cgroup.Path != intent.Cgroup.Path:
		return "cgroup.path"
	case rec.Cgroup.Manager != "" && rec.Cgroup.Manager != intent.Cgroup.Manager:
		return "cgroup.manager"
	case rec.Cgroup.Unit != intent.Cgroup.Unit || rec.Cgroup.User != intent.Cgroup.User:
		return "cgroup.unit"
	}
	for hierarchy, dir := range rec.Cgroup.Paths {
		if intent.Cgroup.Paths[hierarchy] != dir {
			return "cgroup_paths." + hierarchy
		}
	}
	for _, dir := range rec.Cgroup.Made {
		if !slices.Contains(intent.Cgroup.Made, dir) {
			return "cgroup.made"
		}
	}
	return ""
}

// randomHex returns n random bytes as hexadecimal digits.
func randomHex(n int) (string, error) {
	// getrandom itself: crypto/rand brings its self-tests into every start, and package unix
	// asks the vDSO, which maps memory for itself first: forty times what the call takes.
	const digits = "0123456789abcdef"
	raw := make([]byte, n)
	for got := 0; got < n; {
		m, _, errno := unix.Syscall(unix.SYS_GETRANDOM, uintptr(unsafe.Pointer(&raw[got])), uintptr(n-got), 0)
		if errno != 0 && errno != unix.EINTR {
			return "", os.NewSyscallError("getrandom", errno)
		}
		if errno == 0 {
			got += int(m)
		}
	}
	out := make([]byte, 0, 2*n)
	for _, b := range raw {
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out), nil
}
