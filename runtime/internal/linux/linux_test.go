package linux

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

func TestUnsupported(t *testing.T) {
	err := error(&Unsupported{Feature: "flying", Since: "9.1", Err: unix.ENOSYS})
	if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, unix.ENOSYS) || !strings.Contains(err.Error(), "needs Linux 9.1") {
		t.Errorf("%v", err)
	}
}

func TestErrorsNameCallAndPath(t *testing.T) {
	dir, err := OpenAt(nil, t.TempDir(), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	_, err = OpenAt(dir, "missing", unix.O_RDONLY, 0)
	var p *fs.PathError
	if !errors.As(err, &p) || p.Op != "openat" || p.Path != dir.Name()+"/missing" || !errors.Is(err, unix.ENOENT) {
		t.Errorf("%v", err)
	}
}

func TestDescriptorsAreCloseOnExec(t *testing.T) {
	f, err := OpenAt(nil, os.TempDir(), unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %x, %v", flags, err)
	}
}

// The kernel's own words about a parameter reach the user.
func TestFilesystemErrorHasTheKernelsWords(t *testing.T) {
	need.Root(t)
	tmpfs, err := NewFilesystem("tmpfs")
	if err != nil {
		t.Fatal(err)
	}
	defer tmpfs.Close()
	err = tmpfs.Set("size", "many")
	if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "Bad value for 'size'") {
		t.Errorf("%v", err)
	}
	if _, err := NewFilesystem("nopefs"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("%v", err)
	}
}

func TestChmodAndChownByHandle(t *testing.T) {
	need.Root(t)
	path := t.TempDir() + "/file"
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenAt(nil, path, unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(Chown(f, 3, 4), Chmod(f, 0o641)); err != nil {
		t.Fatal(err)
	}
	if st, err := Stat(f); err != nil || st.Uid != 3 || st.Gid != 4 || st.Mode&0o7777 != 0o641 {
		t.Errorf("%+v, %v", st, err)
	}
}
