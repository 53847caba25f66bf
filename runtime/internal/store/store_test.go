package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ocirt/ocirt/internal/need"
	"golang.org/x/sys/unix"
)

func TestLife(t *testing.T) {
	r := testRoot(t)
	rec := &Record{Bundle: "/b"}
	d, err := r.Create("demo", rec)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !d.Locked() {
		t.Error("a new container is not locked")
	}
	if rec.ID != "demo" || len(rec.Token) != 32 || len(rec.BootID) != 36 || rec.Phase != PhaseCreating || rec.Created.IsZero() {
		t.Errorf("not filled: %+v", rec)
	}
	reader := open(t, r, "demo")
	if got, err := reader.LoadIntent(); err != nil || !reflect.DeepEqual(got, rec) {
		t.Errorf("a reader got %+v, %v", got, err)
	}
	rec.Phase, rec.Pid, rec.StartTime, rec.Config = PhaseCreated, 4711, 17, []byte(`{"x":1}`)
	if err := d.Save(rec); err != nil {
		t.Fatal(err)
	}
	if got, err := reader.Load(); err != nil || !reflect.DeepEqual(got, rec) {
		t.Errorf("a reader got %+v, %v", got, err)
	}
	if got, err := reader.LoadIntent(); err != nil || got.Pid != 4711 || got.Config != nil {
		t.Errorf("the intent is %+v, %v", got, err)
	}
	if ids, err := r.List(); err != nil || !slices.Equal(ids, []string{"demo"}) {
		t.Errorf("list is %q, %v", ids, err)
	}
	if err := os.WriteFile(filepath.Join(d.Path(), "start.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	gone(t, d.Path())
	if _, err := r.Open("demo"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "container does not exist") {
		t.Errorf("open after remove: %v", err)
	}
	if ids, err := r.List(); err != nil || len(ids) != 0 {
		t.Errorf("list is %q, %v", ids, err)
	}
	notTheNext(t, r, d, reader, rec)
}

// notTheNext checks that what was opened of a removed container does not reach a new
// one of that name.
func notTheNext(t *testing.T, r *Root, d, reader *Dir, rec *Record) {
	t.Helper()
	d2 := create(t, r, "demo")
	if err := reader.Lock(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("locked a removed container: %v", err)
	}
	if err := d.Save(rec); err == nil {
		t.Error("saved to a removed container")
	}
	if err := d.Remove(); err != nil {
		t.Errorf("third remove: %v", err)
	}
	if got, err := d2.Load(); err != nil || got.Pid != sample("demo").Pid {
		t.Errorf("the new container's record is %+v, %v", got, err)
	}
}

func TestRootRefused(t *testing.T) {
	dir := t.TempDir()
	sub := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.Mkdir(sub("wide"), 0o700), os.Chmod(sub("wide"), 0o777))
	must(t, os.Mkdir(sub("sticky"), 0o700), os.Chmod(sub("sticky"), 0o777|fs.ModeSticky))
	must(t, os.Mkdir(sub("real"), 0o700), os.Symlink("real", sub("link")))
	must(t, os.WriteFile(sub("file"), nil, 0o600))
	cases := map[string]string{
		"wide": "writable by others", "sticky": "writable by others", "link": "not a symbolic link",
		"file": "not a directory", "missing": "no such file", "link/": "not a symbolic link",
	}
	if os.Geteuid() == 0 {
		must(t, os.Mkdir(sub("foreign"), 0o700), os.Chown(sub("foreign"), 1000, 1000))
		cases["foreign"] = "not owned by root"
	}
	for name, want := range cases {
		opt := OpenOptions{Create: name != "missing"}
		r, err := Open(dir+"/"+name, opt)
		if err == nil {
			r.Close()
			t.Errorf("%s: accepted", name)
			continue
		}
		if !strings.Contains(err.Error(), "--root") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %q does not say --root and %q", name, err, want)
		}
	}
	if _, err := Open(sub("missing"), OpenOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Open("/", OpenOptions{}); err == nil || err.Error() != "Option --root argument should not be set to /" {
		t.Errorf("slash: %v", err)
	}
	if got := mode(t, sub("wide")).Perm(); got != 0o777 {
		t.Errorf("the mode of a refused root was changed to %o", got)
	}
}

func TestModes(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		dir := t.TempDir()
		old := unix.Umask(mask)
		r, err := Open(filepath.Join(dir, "root"), OpenOptions{Create: true, Sticky: true})
		var d *Dir
		if err == nil {
			d, err = r.Create("x", sample("x"))
		}
		if err == nil {
			err = d.Save(sample("x"))
		}
		unix.Umask(old)
		if err != nil {
			t.Fatalf("umask %#o: %v", mask, err)
		}
		for path, want := range map[string]fs.FileMode{
			"root":               fs.ModeDir | fs.ModeSticky | 0o700,
			"root/x":             fs.ModeDir | 0o700,
			"root/x/state.json":  0o600,
			"root/x/intent.json": 0o600,
		} {
			if got := mode(t, filepath.Join(dir, path)); got != want {
				t.Errorf("umask %#o: %s has mode %v, want %v", mask, path, got, want)
			}
		}
		d.Close()
		r.Close()
	}
}

func TestID(t *testing.T) {
	for _, good := range []string{"a", ".a", "-x", "A_b+c-d.e", "state.json", "lost+found", "exec.fifo", "...", strings.Repeat("x", 255)} {
		if err := CheckID(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	r := testRoot(t)
	for _, bad := range []string{".", "..", "a/b", "/", "a b", "a\nb", "é", "%s", "$(id)", "*", "a'b", "a:b", "a@b", "a\x00b", strings.Repeat("x", 256)} {
		err := CheckID(bad)
		if !errors.Is(err, ErrInvalidID) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", bad, err)
		}
		_, e1 := r.Open(bad)
		_, e2 := r.Create(bad, &Record{})
		e3 := r.Discard(bad)
		if !errors.Is(e1, ErrInvalidID) || !errors.Is(e2, ErrInvalidID) || !errors.Is(e3, ErrInvalidID) {
			t.Errorf("%q: %v, %v, %v", bad, e1, e2, e3)
		}
	}
	if err := CheckID(""); !errors.Is(err, ErrEmptyID) {
		t.Errorf("empty: %v", err)
	}
}

func TestForeignEntries(t *testing.T) {
	r := testRoot(t)
	canary := filepath.Join(t.TempDir(), "canary")
	must(t, os.Mkdir(canary, 0o700), os.WriteFile(filepath.Join(canary, "file"), []byte("x"), 0o600))
	must(t, os.WriteFile(filepath.Join(r.Path(), "file"), nil, 0o600))
	must(t, os.Symlink(canary, filepath.Join(r.Path(), "link")))
	must(t, unix.Mkfifo(filepath.Join(r.Path(), "fifo"), 0o600))
	for _, id := range []string{"file", "link", "fifo"} {
		if _, err := r.Open(id); !errors.Is(err, ErrForeign) {
			t.Errorf("open %s: %v", id, err)
		}
		if _, err := r.Create(id, sample(id)); !errors.Is(err, ErrExists) || !errors.Is(err, ErrForeign) {
			t.Errorf("create %s: %v", id, err)
		}
		for range 2 {
			if err := r.Discard(id); err != nil {
				t.Errorf("discard %s: %v", id, err)
			}
		}
		gone(t, filepath.Join(r.Path(), id))
	}
	if _, err := os.Stat(filepath.Join(canary, "file")); err != nil {
		t.Error(err)
	}
	create(t, r, "good")
	if err := r.Discard("good"); err == nil {
		t.Error("discarded a container")
	}
	must(t, os.Mkdir(filepath.Join(r.Path(), "not an id"), 0o700))
	if ids, err := r.List(); err != nil || !slices.Equal(ids, []string{"good"}) {
		t.Errorf("list %q, %v", ids, err)
	}
}

func TestParallelCreate(t *testing.T) {
	r := testRoot(t)
	for round := range 100 {
		id := "c" + itoa(round)
		errs := make([]error, 16)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range errs {
			wg.Go(func() {
				<-start
				rec := &Record{Bundle: "/bundle/" + itoa(i)}
				d, err := r.Create(id, rec)
				if errs[i] = err; err == nil {
					d.Close()
				}
			})
		}
		close(start)
		wg.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner < 0:
				winner = i
			case err == nil:
				t.Fatalf("round %d: %d and %d won", round, winner, i)
			case !errors.Is(err, ErrExists):
				t.Errorf("round %d: %v", round, err)
			}
		}
		if winner < 0 {
			t.Fatalf("round %d: nobody won", round)
		}
		d, err := r.Open(id)
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := d.LoadIntent(); err != nil || rec.Bundle != "/bundle/"+itoa(winner) {
			t.Errorf("round %d: record of %+v, %v; %d won", round, rec, err, winner)
		}
		d.Close()
	}
}

// Creating, loading and removing at once: each error is one of those promised.
func TestParallelLives(t *testing.T) {
	r := testRoot(t)
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for worker := range 8 {
		wg.Go(func() {
			for range 200 {
				d, err := r.Create("x", &Record{})
				if err == nil {
					err = d.Remove()
					if e := d.Close(); e != nil {
						t.Error(e)
					}
				}
				if err != nil && !errors.Is(err, ErrExists) && !errors.Is(err, ErrNotFound) {
					t.Errorf("create %d: %v", worker, err)
				}
				d, err = r.Open("x")
				if err == nil {
					if _, err := d.LoadIntent(); err != nil && !errors.Is(err, ErrNoRecord) {
						t.Errorf("load %d: %v", worker, err)
					}
					if err = d.Lock(ctx); err == nil {
						err = d.Remove()
					}
					d.Close()
				}
				if err != nil && !errors.Is(err, ErrNotFound) {
					t.Errorf("remove %d: %v", worker, err)
				}
			}
		})
	}
	wg.Wait()
	if ids, err := r.List(); err != nil || len(ids) != 0 {
		t.Errorf("left: %q, %v", ids, err)
	}
}

func TestLock(t *testing.T) {
	r := testRoot(t)
	a := create(t, r, "x")
	b := open(t, r, "x")
	if ok, err := b.TryLock(); ok || err != nil {
		t.Fatalf("two hold the lock: %v", err)
	}
	if err := b.Remove(); err == nil || !strings.Contains(err.Error(), "lock") {
		t.Errorf("removed under somebody's lock: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := b.Lock(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting gave %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("gave up after %v", took)
	}
	got := make(chan error, 1)
	go func() { got <- b.Lock(context.Background()) }()
	select {
	case err := <-got:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	a.Unlock()
	if err := <-got; err != nil || !b.Locked() {
		t.Fatalf("waited in vain: %v", err)
	}
	b.Unlock()
	// The wait that was given up must not keep the lock.
	if err := a.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A waiter learns that the container was deleted.
	go func() { got <- b.Lock(context.Background()) }()
	time.Sleep(10 * time.Millisecond)
	must(t, a.Remove(), a.Close())
	if err := <-got; !errors.Is(err, ErrNotFound) || b.Locked() {
		t.Errorf("lock of a deleted container: %v", err)
	}
}

func TestLockDiesWithItsHolder(t *testing.T) {
	r := testRoot(t)
	d := create(t, r, "locked")
	d.Unlock()
	c := startHelper(t, "holder", r.Path())
	if ok, err := d.TryLock(); ok || err != nil {
		t.Fatalf("the other process has no lock: %v", err)
	}
	must(t, c.Process.Kill())
	if err := d.Lock(t.Context()); err != nil {
		t.Errorf("SIGKILL left the lock behind: %v", err)
	}
}

func TestManyContainers(t *testing.T) {
	r := testRoot(t)
	for i := range 3000 {
		must(t, os.Mkdir(filepath.Join(r.Path(), "c"+itoa(i)), 0o700))
	}
	if ids, err := r.List(); err != nil || len(ids) != 3000 || !slices.IsSorted(ids) {
		t.Errorf("%d listed, %v", len(ids), err)
	}
}

func TestRootReadOnly(t *testing.T) {
	need.Root(t)
	if !inNamespaces(t, 0) {
		return
	}
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, "mode=700"))
	if _, err := Open(dir+"/new", OpenOptions{Create: true}); !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), "--root") {
		t.Errorf("new root: %v", err)
	}
	r, err := Open(dir, OpenOptions{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create("x", sample("x")); !errors.Is(err, unix.EROFS) {
		t.Errorf("create: %v", err)
	}
	must(t, r.Close(), unix.Unmount(dir, 0))
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
