package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

func TestRemoveHostile(t *testing.T) {
	r := testRoot(t)
	d := create(t, r, "x")
	canary := t.TempDir()
	must(t, os.WriteFile(filepath.Join(canary, "file"), []byte("x"), 0o600))
	must(t, os.Symlink(canary, filepath.Join(d.Path(), "to-dir")))
	must(t, os.Symlink(filepath.Join(canary, "file"), filepath.Join(d.Path(), "to-file")))
	must(t, os.Symlink("loop", filepath.Join(d.Path(), "loop")))
	must(t, os.MkdirAll(filepath.Join(d.Path(), "a/b/c/d"), 0o700))
	must(t, os.Symlink("/", filepath.Join(d.Path(), "a/b/c/d/root")))
	must(t, unix.Mkfifo(filepath.Join(d.Path(), "a/fifo"), 0o600))
	for i := range 10000 {
		must(t, os.WriteFile(filepath.Join(d.Path(), "a/b", "f"+itoa(i)), nil, 0o600))
	}
	must(t, d.Remove())
	gone(t, d.Path())
	if _, err := os.Stat(filepath.Join(canary, "file")); err != nil {
		t.Error(err)
	}
}

func TestRemoveTooDeep(t *testing.T) {
	r := testRoot(t)
	d := create(t, r, "x")
	deep := d.Path() + strings.Repeat("/d", removeDepth+5)
	must(t, os.MkdirAll(deep, 0o700))
	if err := d.Remove(); err == nil || !strings.Contains(err.Error(), "nested too deeply") {
		t.Errorf("remove: %v", err)
	}
	if _, err := d.Load(); err != nil {
		t.Errorf("the record went before the rest: %v", err)
	}
}

func TestRemoveMounts(t *testing.T) {
	need.Root(t)
	if !inNamespaces(t, 0) {
		return
	}
	r := testRoot(t)
	d := create(t, r, "x")
	canary := t.TempDir()
	must(t, os.WriteFile(filepath.Join(canary, "file"), []byte("x"), 0o600))
	dir, file := filepath.Join(d.Path(), "sub/dir"), filepath.Join(d.Path(), "file")
	must(t, os.MkdirAll(dir, 0o700), os.WriteFile(file, nil, 0o600), os.WriteFile(filepath.Join(d.Path(), "start.sock"), nil, 0o600))
	must(t, unix.Mount(canary, dir, "", unix.MS_BIND, ""))
	must(t, unix.Mount(filepath.Join(canary, "file"), file, "", unix.MS_BIND, ""))
	err := d.Remove()
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), file+": something is mounted") {
		t.Errorf("remove: %v", err)
	}
	if _, err := os.Stat(filepath.Join(canary, "file")); err != nil {
		t.Errorf("the canary: %v", err)
	}
	gone(t, filepath.Join(d.Path(), "start.sock"))
	if _, err := d.Load(); err != nil {
		t.Errorf("the record went before the rest: %v", err)
	}
	must(t, unix.Unmount(dir, 0), unix.Unmount(file, 0), d.Remove())
	gone(t, d.Path())

	// A mount on the directory itself.
	e := create(t, r, "y")
	must(t, e.Close(), unix.Mount(canary, e.Path(), "", unix.MS_BIND, ""))
	if _, err := r.Open("y"); err == nil || !strings.Contains(err.Error(), "something is mounted on "+e.Path()) {
		t.Errorf("open: %v", err)
	}
	must(t, unix.Unmount(e.Path(), 0))
}

func TestRemoveImmutable(t *testing.T) {
	need.Root(t)
	r := testRoot(t)
	d := create(t, r, "x")
	path := filepath.Join(d.Path(), "stuck")
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	const immutable = 0x10
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags)|immutable)
	}
	need.Feature(t, "immutable", err == nil, "no immutable files here")
	t.Cleanup(func() { _ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags)) })
	if err := d.Remove(); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) {
		t.Errorf("remove: %v", err)
	}
	must(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags)), d.Remove())
	gone(t, d.Path())
}
