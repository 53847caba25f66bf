package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// A victim is a running container whose state directory is damaged.
type victim struct {
	*lab.Container
	t    *testing.T
	r    *lab.Runtime
	dir  string // its state directory
	file string // its record
}

func newVictim(t *testing.T, r *lab.Runtime, edits ...lab.Edit) *victim {
	t.Helper()
	b := lab.NewBundle(t, append([]lab.Edit{lab.Check("sleep", "forever")}, edits...)...)
	v := &victim{Container: r.Launch(b), t: t, r: r}
	v.dir = filepath.Join(r.Root, v.ID)
	v.file = filepath.Join(v.dir, "state.json")
	return v
}

func (v *victim) alive() bool {
	stat := read(fmt.Sprintf("/proc/%d/stat", v.Pid))
	return stat != "" && !strings.Contains(stat, ") Z ")
}

// refuses checks that commands fail with words, and do nothing.
func (v *victim) refuses(words string, commands ...string) {
	v.t.Helper()
	for _, c := range commands {
		v.r.Do(append(strings.Fields(c), v.ID)...).Failed(words)
		if !v.alive() {
			v.t.Fatalf("%s has ended the container", c)
		}
	}
}

// goes checks that list can speak of it, and that delete --force removes all of it.
func (v *victim) goes() {
	v.t.Helper()
	if res := v.r.Do("list").OK(); !strings.Contains(res.Stdout, v.ID) {
		v.t.Errorf("list hides the container: %s", res.Stdout)
	}
	v.r.Do("delete", "--force", v.ID).OK()
	if v.alive() {
		v.t.Errorf("delete --force has left init running")
	}
	v.r.Do("delete", "--force", v.ID).OK()
	if left := groupsOf(v.ID); len(left) > 0 {
		v.t.Errorf("delete --force has left %q", left)
	}
	if _, err := os.Lstat(v.dir); err == nil {
		v.t.Errorf("delete --force has left %s", v.dir)
	}
}

// everything is all commands that must not act on the word of a damaged record.
func everything() []string {
	return []string{"state", "ps", "kill", "kill --all", "start", "pause", "resume", "update", "events", "delete"}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedRecord(t *testing.T) {
	need.Root(t)
	put := func(data string) func(*victim) error {
		return func(v *victim) error { return os.WriteFile(v.file, []byte(data), 0o600) }
	}
	instead := func(put func(string) error) func(*victim) error {
		return func(v *victim) error { return errors.Join(os.Remove(v.file), put(v.file)) }
	}
	edit := func(old, now string) func(*victim) error {
		return func(v *victim) error {
			text := read(v.file)
			if !strings.Contains(text, old) {
				return fmt.Errorf("no %q in the record", old)
			}
			return os.WriteFile(v.file, []byte(strings.Replace(text, old, now, 1)), 0o600)
		}
	}
	for _, c := range []struct {
		name   string
		damage func(*victim) error
		words  string
	}{
		{"T-01 empty", put(""), "state.json: empty file"},
		{"T-02 cut", func(v *victim) error { return os.Truncate(v.file, 100) }, "unexpected end"},
		{"T-03 null", put("null"), "expected an object"},
		{"T-04 no members", put("{}"), "required field missing"},
		{"T-05 array", put("[]"), "expected an object"},
		{"T-05 zeros", put(strings.Repeat("\x00", 1000)), "NUL"},
		{"T-05 spaces", put(strings.Repeat(" ", 100<<20)), "more than 16777216"},
		{"T-06 folder", instead(func(p string) error { return os.Mkdir(p, 0o700) }), "not a regular file"},
		{"T-06 FIFO", instead(func(p string) error { return unix.Mkfifo(p, 0o600) }), "not a regular file"},
		{"T-06 link", instead(func(p string) error { return os.Symlink("/etc/passwd", p) }), "not a regular file"},
		{"T-08 pid -1", number("init_process_pid", "-1"), "init_process_pid"},
		{"T-08 pid 0", number("init_process_pid", "0"), "cannot be a container's process"},
		{"T-08 pid 1", number("init_process_pid", "1"), "cannot be a container's process"},
		{"T-08 pid 2^31", number("init_process_pid", "2147483648"), "init_process_pid"},
		{"T-10 top of the hierarchies", groups(func(string) string { return "/" }), "is not the path of a cgroup"},
		{"T-10 upwards", groups(func(p string) string { return p + "/.." }), "is not the path of a cgroup"},
		{"T-12 id", func(v *victim) error { return edit(`"`+v.ID+`"`, `"other"`)(v) }, "id mismatch"},
		{"T-13 newer", edit(`"version":1`, `"version":999`), "newer version"},
		{"T-14 twice", edit(`"version":1`, `"version":1,"version":1`), "version"},
		{"T-14 type", edit(`"version":1`, `"version":"1"`), "state.json"},
		{"T-14 huge", edit(`"version":1`, `"version":1e999`), "state.json"},
		{"T-15 owner", func(v *victim) error { return os.Chown(v.file, 12345, 0) }, "not owned by root"},
		{"T-15 mode", func(v *victim) error { return os.Chmod(v.file, 0o666) }, "writable by others"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVictim(t, lab.New(t))
			must(t, c.damage(v))
			v.refuses(c.words, everything()...)
			v.goes()
		})
	}
}

// number changes a number of the record.
func number(key, value string) func(*victim) error {
	return change(func(m map[string]any) { m[key] = json.Number(value) })
}

// groups changes the paths of the cgroups.
func groups(to func(string) string) func(*victim) error {
	return change(func(m map[string]any) {
		paths := m["cgroup_paths"].(map[string]any)
		for k, p := range paths {
			paths[k] = to(p.(string))
		}
		m["cgroup"].(map[string]any)["made"] = []any{}
	})
}

// change changes members of the record.
func change(f func(map[string]any)) func(*victim) error {
	return func(v *victim) error {
		d := json.NewDecoder(strings.NewReader(read(v.file)))
		d.UseNumber()
		var m map[string]any
		if err := d.Decode(&m); err != nil {
			return err
		}
		f(m)
		data, err := json.Marshal(m)
		if err != nil {
			return err
		}
		return os.WriteFile(v.file, data, 0o600)
	}
}

// TestForgedRecord is about records that are well-formed and say something else than what
// create wrote: nobody is killed on their word.
func TestForgedRecord(t *testing.T) {
	need.Root(t)
	for _, kind := range []specs.LinuxNamespaceType{"", specs.PIDNamespace} {
		t.Run(fmt.Sprintf("without %q", kind), func(t *testing.T) {
			r := lab.New(t)
			other, stranger := newVictim(t, r), exec.Command("sleep", "1000")
			must(t, stranger.Start())
			t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
			start := strings.Fields(read(fmt.Sprintf("/proc/%d/stat", stranger.Process.Pid)))[21]
			for name, forge := range map[string]func(*victim) error{
				"T-08 other pid":     number("init_process_pid", fmt.Sprint(stranger.Process.Pid)),
				"T-08 own pid":       number("init_process_pid", fmt.Sprint(os.Getpid())),
				"T-08 kernel thread": number("init_process_pid", "2"),
				"T-09 start time":    number("init_process_start", "12345"),
				"T-08 other process": change(func(m map[string]any) {
					m["init_process_pid"], m["init_process_start"] = json.Number(fmt.Sprint(stranger.Process.Pid)), json.Number(start)
				}),
				"T-10 other's cgroup": func(v *victim) error {
					return groups(func(p string) string { return strings.Replace(p, v.ID, other.ID, 1) })(v)
				},
				"F-41 boot id": change(func(m map[string]any) { m["boot_id"] = "00000000-0000-0000-0000-000000000000" }),
			} {
				t.Run(name, func(t *testing.T) {
					var edits []lab.Edit
					if kind != "" {
						edits = append(edits, lab.Without(kind))
					}
					v := newVictim(t, r, edits...)
					must(t, forge(v))
					v.refuses("cannot trust", "ps", "kill", "kill --all", "start", "pause", "resume", "update", "events", "delete")
					v.goes()
					if err := stranger.Process.Signal(unix.Signal(0)); err != nil || !other.alive() {
						t.Fatalf("somebody else has been killed: %v", err)
					}
				})
			}
		})
	}
}

// T-07: without the record, the intent tells all that matters.
func TestLostRecord(t *testing.T) {
	need.Root(t)
	v := newVictim(t, lab.New(t))
	must(t, os.Remove(v.file))
	if s := v.State(); s.Status != specs.StateRunning || s.Pid != v.Pid {
		t.Errorf("state is %+v", s)
	}
	v.refuses("is not stopped", "delete")
	v.refuses("already running", "start")
	v.goes()
	for _, keep := range []string{"start.sock", "state.json"} {
		v = newVictim(t, v.r)
		must(t, os.Remove(filepath.Join(v.dir, "intent.json")))
		if keep != "state.json" {
			must(t, os.Remove(v.file))
		}
		v.goes()
	}
}

// T-11: what a container was made of may be gone.
func TestLostBundle(t *testing.T) {
	need.Root(t)
	v := newVictim(t, lab.New(t), hooked(t))
	must(t, change(func(m map[string]any) { m["bundle"], m["rootfs"] = "/nonexistent", "/nonexistent/rootfs" })(v))
	v.State()
	v.Kill("KILL").OK()
	lab.Eventually(func() bool { return v.State().Status == specs.StateStopped })
	v.Delete().OK()
}

// T-16: strange things in the state directory are not followed, and what resists is named.
func TestStrangeStateDirectory(t *testing.T) {
	need.Root(t)
	r := lab.New(t)
	canary := lab.Dir(t)
	must(t, os.WriteFile(filepath.Join(canary, "file"), nil, 0o600))
	v := newVictim(t, r)
	must(t, os.Symlink(canary, filepath.Join(v.dir, "link")))
	deep := filepath.Join(v.dir, "a/b/c")
	must(t, os.MkdirAll(deep, 0o700))
	for i := range 10000 {
		must(t, os.WriteFile(filepath.Join(deep, fmt.Sprint(i)), nil, 0o600))
	}
	v.goes()

	v = newVictim(t, r)
	on := filepath.Join(v.dir, "mounted")
	must(t, os.Mkdir(on, 0o700), unix.Mount(canary, on, "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(on, unix.MNT_DETACH) })
	r.Do("delete", "--force", v.ID).Failed("mounted: something is mounted on it")
	if v.alive() {
		t.Errorf("the container still runs")
	}
	must(t, unix.Unmount(on, 0))
	r.Do("delete", "--force", v.ID).OK()
	if read(filepath.Join(canary, "file")) != "" || unix.Access(filepath.Join(canary, "file"), unix.F_OK) != nil {
		t.Errorf("the canary is dead")
	}
}

// T-17: without the start socket there is no start, and all else works.
func TestLostStartSocket(t *testing.T) {
	need.Root(t)
	for name, damage := range map[string]func(string) error{
		"missing": os.Remove,
		"file":    func(p string) error { return errors.Join(os.Remove(p), os.WriteFile(p, nil, 0o600)) },
		"FIFO":    func(p string) error { return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := lab.New(t)
			c := r.Create(lab.NewBundle(t, lab.Check("sleep", "forever")))
			must(t, damage(filepath.Join(r.Root, c.ID, "start.sock")))
			r.Do("start", c.ID).Failed("cannot ")
			c.Kill("KILL").OK()
			r.Do("delete", "--force", c.ID).OK()
			if left := groupsOf(c.ID); len(left) > 0 {
				t.Errorf("delete has left %q", left)
			}
		})
	}
}

// I-15: something that is no container has the name of one.
func TestForeignEntry(t *testing.T) {
	need.Root(t)
	r := lab.New(t)
	b := lab.NewBundle(t)
	for name, put := range map[string]func(string) error{
		"file": func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"link": func(p string) error { return os.Symlink(b.Rootfs, p) },
		"FIFO": func(p string) error { return unix.Mkfifo(p, 0o600) },
	} {
		id := r.ID()
		must(t, put(filepath.Join(r.Root, id)))
		r.Do("create", "--bundle", b.Dir, id).Failed("container with given ID already exists")
		for _, c := range []string{"state", "delete", "start"} {
			r.Do(c, id).Failed("is not a container")
		}
		r.Do("list").OK()
		r.Do("delete", "--force", id).OK()
		if _, err := os.Lstat(filepath.Join(r.Root, id)); err == nil {
			t.Errorf("delete --force has left the %s", name)
		}
		if entries, err := os.ReadDir(b.Rootfs); err != nil || len(entries) == 0 {
			t.Errorf("the %s's target is empty: %v", name, err)
		}
	}
	var buf bytes.Buffer
	cmd := r.Command("list", "--quiet")
	cmd.Stdout = &buf
	if r.Finish(cmd).OK(); buf.Len() > 0 {
		t.Errorf("list says %q", buf.String())
	}
}
