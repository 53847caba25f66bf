package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocirt/ocirt/internal/need"
	"golang.org/x/sys/unix"
)

// TestDamagedRecord is what state, list, kill and delete meet when somebody has
// been in the state directory: a clear error, and a directory that can be removed.
func TestDamagedRecord(t *testing.T) {
	good, err := encodeRecord(sample("x"), true)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, data, 0o600) }
	}
	replace := func(make func(path string) error) func(string) error {
		return func(path string) error { return errors.Join(os.Remove(path), make(path)) }
	}
	other := strings.ReplaceAll(string(good), `"id":"x"`, `"id":"y"`)
	for _, c := range []struct {
		name   string
		damage func(path string) error
		want   string
	}{
		{"empty", write(nil), "state.json: empty file"},
		{"cut", write(good[:len(good)/2]), "unexpected end"},
		{"null", write([]byte("null")), "state.json: byte 0: expected an object"},
		{"no members", write([]byte("{}")), "state.json: id: required field missing"},
		{"array", write([]byte("[]")), "expected an object"},
		{"zeros", write(make([]byte, 5000)), "NUL"},
		{"spaces", func(path string) error { return write(bytes.Repeat([]byte{' '}, 100<<20))(path) }, "more than 16777216"},
		{"sparse", func(path string) error { return os.Truncate(path, 1<<30) }, "more than 16777216"},
		{"folder", replace(func(p string) error { return os.Mkdir(p, 0o700) }), "not a regular file"},
		{"link", replace(func(p string) error { return os.Symlink("intent.json", p) }), "not a regular file"},
		{"fifo", replace(func(p string) error { return unix.Mkfifo(p, 0o600) }), "not a regular file"},
		{"removed", os.Remove, "no record"},
		{"other id", write([]byte(other)), `id mismatch: "y"`},
		{"writable", func(p string) error { return os.Chmod(p, 0o666) }, "writable by others"},
		{"newer", write([]byte(strings.Replace(string(good), `"version":1`, `"version":2`, 1))), "newer version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := testRoot(t)
			d := create(t, r, "x")
			d.Unlock()
			must(t, c.damage(filepath.Join(d.Path(), recordName)))
			reader := open(t, r, "x")
			rec, err := reader.Load()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("loaded %+v, %v; want an error with %q", rec, err, c.want)
			}
			checkDamage(t, c.name, err)
			// What delete --force does.
			if intent, err := reader.LoadIntent(); err != nil || intent.Pid != sample("x").Pid || len(intent.Cgroup.Made) != 2 {
				t.Errorf("intent is %+v, %v", intent, err)
			}
			must(t, reader.Lock(t.Context()), reader.Remove())
			gone(t, d.Path())
		})
	}
}

func checkDamage(t *testing.T, name string, err error) {
	t.Helper()
	if !strings.Contains(err.Error(), recordName) {
		t.Errorf("error %q does not name the file", err)
	}
	var corrupt *CorruptError
	if newer := name == "newer"; errors.As(err, &corrupt) == newer || errors.Is(err, ErrNewer) != newer {
		t.Errorf("error is a %T", err)
	}
	if (name == "removed") != errors.Is(err, ErrNoRecord) {
		t.Errorf("ErrNoRecord: %v", err)
	}
}

func TestRecordOfAnotherUser(t *testing.T) {
	need.Root(t)
	r := testRoot(t)
	d := create(t, r, "x")
	must(t, os.Chown(filepath.Join(d.Path(), recordName), 1000, 1000))
	if _, err := d.Load(); err == nil || !strings.Contains(err.Error(), "not owned by root") {
		t.Errorf("load: %v", err)
	}
	must(t, os.Chown(d.Path(), 1000, 1000))
	if other, err := r.Open("x"); err == nil || !strings.Contains(err.Error(), "not owned by root") {
		other.Close()
		t.Errorf("open: %v", err)
	}
	must(t, os.Chown(d.Path(), 0, 0), d.Remove())
}

func TestVerify(t *testing.T) {
	r := testRoot(t)
	d := create(t, r, "x")
	for name, change := range map[string]func(*Record){
		"pid":        func(r *Record) { r.Pid = 9999 },
		"start time": func(r *Record) { r.StartTime++ },
		"token":      func(r *Record) { r.Token = "other" },
		"boot id":    func(r *Record) { r.BootID = "other" },
		"directory":  func(r *Record) { r.Cgroup.Paths["memory"] = "/sys/fs/cgroup/memory/a/other" },
		"hierarchy":  func(r *Record) { r.Cgroup.Paths["cpu"] = "/sys/fs/cgroup/cpu" },
		"made":       func(r *Record) { r.Cgroup.Made = append(r.Cgroup.Made, "/sys/fs/cgroup/memory") },
		"path":       func(r *Record) { r.Cgroup.Path = "/b" },
		"manager":    func(r *Record) { r.Cgroup.Manager = "none" },
		"unit":       func(r *Record) { r.Cgroup.Unit = "other.scope" },
		"no unit":    func(r *Record) { r.Cgroup.Unit = "" },
		"systemd":    func(r *Record) { r.Cgroup.User = false },
	} {
		rec := sample("x")
		must(t, d.Verify(rec))
		change(rec)
		if err := d.Verify(rec); !errors.Is(err, ErrDiffers) {
			t.Errorf("%s altered: %v", name, err)
		}
	}
	moved := sample("x")
	moved.Bundle, moved.Rootfs = "/elsewhere", "/nowhere"
	must(t, d.Verify(moved))
}

// A writer killed between the two files leaves a record that knows more, and can be trusted.
func TestCrashBetweenTwoWrites(t *testing.T) {
	r := testRoot(t)
	d, err := r.Create("x", intended("x"))
	must(t, err)
	defer d.Close()
	if _, err := d.Load(); !errors.Is(err, ErrNoRecord) {
		t.Errorf("loaded before it was saved: %v", err)
	}
	next := sample("x")
	draft, err := d.Draft(next)
	must(t, err, unix.Renameat(d.FD(), draft.temps[0], d.FD(), recordName), d.write(".intent.json.0123", []byte("{half")))
	rec, err := d.Load()
	if err != nil || rec.Pid != next.Pid || len(rec.Cgroup.Made) != 2 {
		t.Errorf("record %+v, %v", rec, err)
	}
	if intent, err := d.LoadIntent(); err != nil || intent.Pid != 0 || intent.Phase != PhaseCreating {
		t.Errorf("intent %+v, %v", intent, err)
	}
	must(t, d.Verify(rec))
	for name, change := range map[string]func(*Record){
		"token":     func(r *Record) { r.Token = "other" },
		"boot id":   func(r *Record) { r.BootID = "other" },
		"directory": func(r *Record) { r.Cgroup.Paths["memory"] = "/sys/fs/cgroup/memory/a/other" },
		"unit":      func(r *Record) { r.Cgroup.Unit = "other.scope" },
	} {
		rec := sample("x")
		change(rec)
		if err := d.Verify(rec); !errors.Is(err, ErrDiffers) {
			t.Errorf("%s altered: %v", name, err)
		}
	}
	must(t, d.Save(next), d.Verify(next))
	if intent, err := d.LoadIntent(); err != nil || intent.Pid != next.Pid {
		t.Errorf("intent %+v, %v", intent, err)
	}
	must(t, d.Remove())
	gone(t, d.Path())
}

// A saved record takes the place of the old one, which is gone then.
func TestSaveLeavesNothing(t *testing.T) {
	d := create(t, testRoot(t), "x")
	for range 3 {
		before, err := d.Stamp()
		must(t, err, d.Save(sample("x")))
		if after, err := d.Stamp(); err != nil || after == before {
			t.Errorf("a saved record has the stamp of the one before: %+v, %v", after, err)
		}
		names, err := readNames(d.FD())
		if slices.Sort(names); err != nil || !slices.Equal(names, []string{intentName, recordName}) {
			t.Errorf("there are %q, %v", names, err)
		}
	}
}

// A writer killed anywhere leaves an intent and, once it was written, a record that can be
// read and trusted, and a directory that can be removed.
func TestKilledWriter(t *testing.T) {
	for round := range 40 {
		r := testRoot(t)
		c := startHelper(t, "saver", r.Path())
		time.Sleep(time.Duration(round%10) * 300 * time.Microsecond)
		must(t, c.Process.Kill())
		_ = c.Wait()
		d := open(t, r, "victim")
		intent, err := d.LoadIntent()
		if err != nil || intent.ID != "victim" {
			t.Fatalf("round %d: %+v, %v", round, intent, err)
		}
		rec, err := d.Load()
		if err == nil {
			err = d.Verify(rec)
		} else if errors.Is(err, ErrNoRecord) && intent.Phase == PhaseCreating {
			err = nil
		}
		if err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		must(t, d.Remove())
		gone(t, d.Path())
	}
}

func TestNoSpace(t *testing.T) {
	need.Root(t)
	if !inNamespaces(t, 0) {
		return
	}
	for _, option := range []string{"size=16k", "nr_inodes=2", "nr_inodes=3"} {
		dir := t.TempDir()
		must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,"+option))
		r, err := Open(dir, OpenOptions{})
		must(t, err)
		big := sample("x")
		big.Config = []byte(`"` + strings.Repeat("x", 64<<10) + `"`)
		d, err := r.Create("x", intended("x"))
		if err == nil {
			err = d.Save(big)
			must(t, d.Remove(), d.Close())
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: %v", option, err)
		}
		gone(t, filepath.Join(dir, "x"))
		must(t, r.Close(), unix.Unmount(dir, 0))
	}
	fillByBytes(t)
}

// fillByBytes saves again and again on a file system that is full to one page
// more each time.
func fillByBytes(t *testing.T) {
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size=256k"))
	r, err := Open(dir, OpenOptions{})
	must(t, err)
	d := create(t, r, "x")
	failed := 0
	for pages := range 70 {
		must(t, os.WriteFile(filepath.Join(dir, "x", "fill"), nil, 0o600))
		_ = os.WriteFile(filepath.Join(dir, "x", "fill"), make([]byte, pages*4096), 0o600)
		next := sample("x")
		next.StartTime = uint64(pages + 1)
		next.Config = []byte(`"` + strings.Repeat("x", 9000) + `"`)
		before, err := d.Load()
		must(t, err)
		if err := d.Save(next); err != nil {
			failed++
			if !errors.Is(err, unix.ENOSPC) {
				t.Errorf("%d pages: %v", pages, err)
			}
			if after, err := d.Load(); err != nil || after.StartTime != before.StartTime {
				t.Errorf("%d pages: the record was lost: %+v, %v", pages, after, err)
			}
		} else if after, err := d.Load(); err != nil || after.StartTime != next.StartTime {
			t.Errorf("%d pages: the record was not saved: %+v, %v", pages, after, err)
		}
		names, err := readNames(d.FD())
		if must(t, err); len(names) != 3 {
			t.Errorf("%d pages: left behind: %q", pages, names)
		}
	}
	if failed == 0 || failed == 70 {
		t.Errorf("%d of 70 saves failed", failed)
	}
	must(t, os.WriteFile(filepath.Join(dir, "fill"), nil, 0o600))
	_ = os.WriteFile(filepath.Join(dir, "fill"), make([]byte, 1<<20), 0o600)
	must(t, d.Remove()) // needs no space
	gone(t, filepath.Join(dir, "x"))
	must(t, d.Close(), r.Close(), unix.Unmount(dir, 0))
}

func TestTooManyFiles(t *testing.T) {
	r := testRoot(t)
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	next, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err, unix.Close(next))
	for spare := range 4 {
		low := unix.Rlimit{Cur: uint64(next + spare), Max: old.Max}
		must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
		d, err := r.Create("x", sample("x"))
		must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))
		if err == nil {
			must(t, d.Remove(), d.Close())
			continue
		}
		if !errors.Is(err, unix.EMFILE) {
			t.Errorf("%d descriptors: %v", spare, err)
		}
		gone(t, filepath.Join(r.Path(), "x"))
	}
}

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
