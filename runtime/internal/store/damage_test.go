package store

import (
	"bytes"
	"errors"
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

// A writer killed between the two files leaves an intent that knows more.
func TestCrashBetweenTwoWrites(t *testing.T) {
	d := create(t, testRoot(t), "x")
	next := sample("x")
	next.Pid, next.StartTime = 5000, 6000
	next.Cgroup.Paths["cpu"] = "/sys/fs/cgroup/cpu/a/b"
	must(t, d.writeIntent(next), d.write(".state.json.0123", []byte("{half")))
	old, err := d.Load()
	if err != nil || old.Pid != sample("x").Pid {
		t.Errorf("record %+v, %v", old, err)
	}
	if intent, err := d.LoadIntent(); err != nil || intent.Pid != 5000 {
		t.Errorf("intent %+v, %v", intent, err)
	}
	must(t, d.Save(next))
	if rec, err := d.Load(); err != nil || rec.Pid != 5000 {
		t.Errorf("record %+v, %v", rec, err)
	}
	must(t, d.Remove())
	gone(t, d.Path())
}

// While a container is made only its intent says what is known of it, and that it is not made
// yet; the record that is saved in the end agrees with it.
func TestDraft(t *testing.T) {
	d, err := testRoot(t).Create("x", intended("x"))
	must(t, err)
	defer d.Close()
	is := func(pid int) {
		t.Helper()
		if _, err := d.Load(); !errors.Is(err, ErrNoRecord) {
			t.Errorf("loaded before it was saved: %v", err)
		}
		if intent, err := d.LoadIntent(); err != nil || intent.Pid != pid || intent.Phase != PhaseCreating {
			t.Errorf("intent %+v, %v", intent, err)
		}
	}
	is(0)
	draft, err := d.Draft(sample("x"))
	must(t, err)
	is(sample("x").Pid)
	must(t, draft.Save())
	rec, err := d.Load()
	must(t, err, d.Verify(rec))
	if rec.Phase != PhaseCreated || rec.Pid != sample("x").Pid {
		t.Errorf("record %+v", rec)
	}
	rec.Cgroup.Made = append(rec.Cgroup.Made, "/sys/fs/cgroup/memory")
	if err := d.Verify(rec); !errors.Is(err, ErrDiffers) {
		t.Errorf("an altered record: %v", err)
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
