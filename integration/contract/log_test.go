package contract

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/callers"
	"github.com/ocirt/ocirt/integration/internal/lab"
)

// A failure is a way to fail, and what is to be said then.
type failure struct {
	name  string
	edit  lab.Edit
	words string
}

func failures() []failure {
	return []failure{
		{"program", lab.Args("/nosuch"), "no such file or directory"},
		{"mount", lab.Mount("/x", "nosuchfs", "none"), "error mounting"},
		{"config", func(s *specs.Spec) { s.Process.Cwd = "x" }, "Cwd must be an absolute path"},
		{"hook", func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/false"}}} }, "error running createRuntime hook #0"},
	}
}

// containerd's shim reads the log of a container from its beginning, all commands on the
// container append to it, and takes the last error.
func TestRule03TheLogIsAStreamOfRecords(t *testing.T) {
	r := bench(t)
	log := filepath.Join(lab.Dir(t), "log.json")
	global := []string{"--log", log, "--log-format", "json"}
	do := func(args ...string) lab.Result { return r.Do(append(slices.Clone(global), args...)...) }

	b := sleeper(t)
	good := r.ID()
	quiet(t, do("create", "--bundle", b.Dir, good))
	if text := read(t, log); text != "" {
		t.Errorf("success is logged: %s", text)
	}
	for i, f := range failures() {
		bad := lab.NewBundle(t, f.edit)
		do("create", "--bundle", bad.Dir, r.ID()).Failed(f.words)
		text := read(t, log)
		msg, err := callers.LastError(text)
		if err != nil || !strings.Contains(msg, f.words) {
			t.Errorf("%s: the shim finds %q (%v) in\n%s", f.name, msg, err, text)
		}
		if n := strings.Count(text, "\n"); n != i+1 || !strings.HasSuffix(text, "}\n") {
			t.Errorf("%s: %d lines after %d failures:\n%s", f.name, n, i+1, text)
		}
	}
	do("delete", good, "too", "many").Failed("requires exactly 1 argument")
	do("start", "nobody").Failed("does not exist")
	if msg, err := callers.LastError(read(t, log)); err != nil || !strings.HasPrefix(msg, "container does not exist") {
		t.Errorf("the shim finds %q (%v)", msg, err)
	}
	for line := range strings.Lines(read(t, log)) {
		var rec struct{ Level, Msg, Time string }
		must(t, json.Unmarshal([]byte(line), &rec))
		at, err := time.Parse(time.RFC3339, rec.Time)
		if err != nil || time.Since(at) > time.Minute || time.Until(at) > time.Second {
			t.Errorf("time %q: %v", rec.Time, err)
		}
		if rec.Level != "error" || rec.Msg == "" {
			t.Errorf("%s", line)
		}
	}
	if st, err := os.Stat(log); err != nil || st.Mode().Perm()&0o444 != 0o444 {
		t.Errorf("who reads the log may be another user: %v %v", st, err)
	}
}

// A log that could not be decoded to its end would hide the reason of the failure: not even
// what comes out of an image may break it.
func TestRule03NothingBreaksTheLog(t *testing.T) {
	r := bench(t)
	log := filepath.Join(lab.Dir(t), "log.json")
	b := lab.NewBundle(t, lab.Args("/a\"b\n{\x1b\u2028\xff"))
	r.Do("--log", log, "--log-format", "json", "run", "--bundle", b.Dir, r.ID()).Failed()
	text := read(t, log)
	if msg, err := callers.OnlyRecord(text); err != nil || !strings.Contains(msg, "/a\"b") && !strings.Contains(msg, `/a\"b`) || strings.Count(text, "\n") != 1 {
		t.Errorf("%q (%v) in %q", msg, err, text)
	}
}

// podman decodes the whole log as one object: a warning before the error breaks it.
func TestRule04OneRecordIsAll(t *testing.T) {
	warned := func(s *specs.Spec) {
		s.Process.Capabilities.Bounding = append(s.Process.Capabilities.Bounding, "CAP_NOPE")
	}
	for _, f := range failures() {
		t.Run(f.name, func(t *testing.T) {
			r := bench(t)
			log := filepath.Join(lab.Dir(t), "log")
			b := lab.NewBundle(t, warned, f.edit)
			for _, command := range []string{"create", "run"} {
				r.Do("--log-format=json", "--log", log, command, "--bundle", b.Dir, r.ID()).Failed(f.words)
				if msg, err := callers.OnlyRecord(read(t, log)); err != nil || !strings.Contains(msg, f.words) {
					t.Errorf("podman reads %q (%v) from %s", msg, err, read(t, log))
				}
				must(t, os.Remove(log))
			}
		})
	}
	t.Run("success", func(t *testing.T) {
		r := bench(t)
		log := filepath.Join(lab.Dir(t), "log")
		b := lab.NewBundle(t, warned, lab.Check("exit", "0"))
		r.Do("--log-format=json", "--log", log, "run", "--bundle", b.Dir, r.ID()).OK()
		if text := read(t, log); text != "" {
			t.Errorf("a warning in the log: %s", text)
		}
		r.Do("--log-level=warning", "--log-format=json", "--log", log, "run", "--bundle", b.Dir, r.ID()).OK()
		if text := read(t, log); !strings.Contains(text, "CAP_NOPE") {
			t.Errorf("warnings were asked for: %s", text)
		}
	})
}

// conmon hands the beginning of standard error on: the first line must be the error, as it
// is in the log.
func TestRule05TheErrorIsOnStandardErrorAsWell(t *testing.T) {
	for _, f := range failures() {
		t.Run(f.name, func(t *testing.T) {
			r := bench(t)
			log := filepath.Join(lab.Dir(t), "log")
			b := lab.NewBundle(t, f.edit)
			for _, format := range []string{"json", "text"} {
				res := r.Do("--log-format", format, "--log", log, "create", "--bundle", b.Dir, r.ID()).Failed(f.words)
				first, _, _ := strings.Cut(res.Stderr, "\n")
				if !strings.HasPrefix(first, "ocirt create failed: ") || strings.Contains(first, "level=") {
					t.Errorf("%s: standard error begins with %q", format, first)
				}
				if msg, err := callers.OnlyRecord(read(t, log)); format == "json" && (err != nil || msg != first) {
					t.Errorf("the log says %q (%v), standard error %q", msg, err, first)
				}
				must(t, os.Remove(log))
			}
			res := r.CreateFails(b, f.words)
			if first, _, _ := strings.Cut(res.Stderr, "\n"); !strings.Contains(first, f.words) || !strings.Contains(first, "level=error") {
				t.Errorf("without a log standard error begins with %q", first)
			}
		})
	}
}

// What comes on standard output of create is the container's; of the others, engines' data.
func TestRule06StandardOutputIsForData(t *testing.T) {
	r := bench(t)
	b := sleeper(t)
	c := r.Create(b)
	if c.Stdout() != "" || c.Stderr() != "" {
		t.Errorf("create says %q and %q", c.Stdout(), c.Stderr())
	}
	quiet(t, r.Do("start", c.ID))
	quiet(t, r.Do("kill", c.ID, "0"))
	t.Run("pause", func(t *testing.T) {
		command(t, r, "pause")
		quiet(t, r.Do("pause", c.ID))
		quiet(t, r.Do("resume", c.ID))
	})
	t.Run("update", func(t *testing.T) {
		command(t, r, "update")
		quiet(t, r.Do("update", "--pids-limit", "100", c.ID))
	})
	t.Run("exec", func(t *testing.T) {
		command(t, r, "exec")
		file := lab.Dir(t) + "/pid"
		quiet(t, r.Do("exec", "--detach", "--pid-file", file, c.ID, "/inside", "exit", "0"))
		execed(t, file)
		quiet(t, r.Do("exec", "--process", process(t, "/inside", "exit", "0"), c.ID))
	})
	quiet(t, r.Do("kill", c.ID, "9"))
	stopped(t, c)
	quiet(t, r.Do("delete", c.ID))
	quiet(t, r.Do("delete", "--force", c.ID))

	b.Edit(lab.Check("exit", "0"))
	quiet(t, r.Run(b))
	for _, f := range failures() {
		if res := r.CreateFails(lab.NewBundle(t, f.edit)); res.Stdout != "" {
			t.Errorf("%s: on standard output: %s", f.name, res.Stdout)
		}
	}
}

// CRI-O reads both outputs together.
func TestRule07StandardErrorIsSilentOnSuccess(t *testing.T) {
	r := bench(t)
	b := sleeper(t, func(s *specs.Spec) {
		s.Process.Capabilities.Bounding = append(s.Process.Capabilities.Bounding, "CAP_NOPE")
		s.Annotations = map[string]string{"a": "b"}
	})
	c := r.Create(b)
	for _, args := range [][]string{{"features"}, {"--version"}, {"state", c.ID}, {"list"}, {"list", "-f", "json"}, {"ps", "-f", "json", c.ID}} {
		if res := r.Do(args...).OK(); res.Stderr != "" || res.Stdout == "" {
			t.Errorf("%v", res)
		}
	}
	res := r.Do("features").OK()
	f, err := callers.CrioFeatures(res.Stdout + res.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	// What containerd and CRI-O ask for.
	if !slices.Contains(f.MountOptions, "rro") || !slices.Contains(f.Linux.Namespaces, "user") || !*f.Linux.MountExtensions.IDMap.Enabled {
		t.Errorf("%s", res.Stdout)
	}
	if f.OCIVersionMin != "1.0.0" || f.OCIVersionMax != specs.Version {
		t.Errorf("versions %s to %s", f.OCIVersionMin, f.OCIVersionMax)
	}
	// The same without a state directory, which a probe has not.
	cmd := r.Command("features")
	cmd.Args = slices.Delete(cmd.Args, 1, 3)
	if probe := r.Finish(cmd); probe.Stdout != res.Stdout || probe.Stderr != "" || probe.Code != 0 {
		t.Errorf("%v", probe)
	}
	var states []struct {
		ID      string
		Created time.Time
	}
	if err := json.Unmarshal([]byte(r.Do("list", "--format=json").Stdout), &states); err != nil || len(states) != 1 || time.Since(states[0].Created) > time.Minute {
		t.Errorf("%v: %+v", err, states)
	}
}
