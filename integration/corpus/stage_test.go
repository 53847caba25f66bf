package corpus

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/badinput"
	"github.com/ocirt/ocirt/internal/need"
)

// A stage is the bundle of one row, as the corpus' README describes it, and who uses it.
type stage struct {
	*testing.T
	runtime *lab.Runtime
	dir     string // of the bundle
	flags   []string
	global  []string
	patches []badinput.Patch
}

func newStage(t *testing.T, user bool) *stage {
	t.Helper()
	s := &stage{T: t}
	if user {
		need.Root(t)
		s.runtime = lab.NewAs(t, userID)
	} else {
		need.Root(t)
		s.runtime = lab.New(t)
	}
	s.dir = badinput.Bundle(t)
	top := filepath.Dir(s.dir)
	for _, d := range []string{"b/rootfs/bin", "b/rootfs/tmp", "other/rootfs/bin"} {
		must(t, os.MkdirAll(filepath.Join(top, d), 0o755))
	}
	// "true" is the program of every row.
	must(t, os.Link(lab.Inside(), filepath.Join(s.dir, "rootfs/bin/true")))
	must(t, os.Link(lab.Inside(), filepath.Join(top, "other/rootfs/bin/true")))
	return s
}

// rootfs is a path in the container's root.
func (s *stage) rootfs(name string) string { return filepath.Join(s.dir, "rootfs", name) }

// file writes a file of the root file system.
func (s *stage) file(name, text string, mode os.FileMode) {
	s.Helper()
	must(s, os.MkdirAll(filepath.Dir(s.rootfs(name)), 0o755))
	must(s, os.WriteFile(s.rootfs(name), []byte(text), mode))
	must(s, os.Chmod(s.rootfs(name), mode))
}

// put changes a value of the row's configuration.
func (s *stage) put(pointer string, value any) {
	s.Helper()
	data, err := json.Marshal(value)
	must(s, err)
	s.patches = append(s.patches, badinput.Patch{Path: pointer, Value: data})
}

func (s *stage) mount(to, kind, source string, options ...string) {
	s.Helper()
	m := map[string]any{"destination": to, "type": kind, "source": source, "options": options}
	if options == nil {
		delete(m, "options")
	}
	s.put("/mounts/-", m)
}

// userNamespace maps the container's first ids.
func (s *stage) userNamespace(host, size int) {
	s.Helper()
	maps := []any{map[string]int{"containerID": 0, "hostID": host, "size": size}}
	s.put("/linux/namespaces/-", map[string]any{"type": "user"})
	s.put("/linux/uidMappings", maps)
	s.put("/linux/gidMappings", maps)
}

// rootless makes the configuration one for an ordinary user.
func (s *stage) rootless() {
	s.Helper()
	s.userNamespace(userID, 1)
	s.put("/mounts/2/options", []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"})
}

// write writes the row's config.json, with the changes of the stage.
func (s *stage) write(r *row) {
	s.Helper()
	r.Write(s, s.dir, s.patches...)
}

// do runs a command on a container of this bundle.
func (s *stage) do(command, id string) lab.Result {
	s.Helper()
	args := append([]string{}, s.global...)
	args = append(args, command)
	if command == "create" || command == "run" {
		args = append(append(args, "--bundle", s.dir), s.flags...)
	}
	return s.runtime.Do(append(args, "--", id)...)
}

// A record is one line of a JSON log.
type record struct {
	Level, Msg, Time, Config, Hint string
}

// fails runs a command that is to fail, and returns what it logged: exactly one record.
// Of the container nothing may be left.
func (s *stage) fails(command, id string) record {
	s.Helper()
	log := filepath.Join(lab.Dir(s), "log")
	must(s, os.WriteFile(log, nil, 0o666))
	must(s, os.Chmod(log, 0o666))
	before := s.global
	s.global = append([]string{"--log", log, "--log-format", "json"}, before...)
	res := s.do(command, id)
	s.global = before
	data, err := os.ReadFile(log)
	must(s, err)
	if res.Code != 1 {
		s.Fatalf("want an error, got %v%s", res, data)
	}
	if res.Stdout != "" {
		s.Errorf("something is on standard output: %q", res.Stdout)
	}
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil || rec.Level != "error" || rec.Time == "" || strings.Count(string(data), "\n") != 1 {
		s.Fatalf("the log does not hold one record of an error: %v: %s", err, data)
	}
	// The first line for people is the record's.
	line, _, _ := strings.Cut(res.Stderr, "\n")
	if first, _, _ := strings.Cut(rec.Msg, "\n"); !strings.Contains(line, printed(first)) && strings.ToValidUTF8(line, "") == line {
		s.Errorf("standard error begins with\n%s\nand not with\n%s", line, printed(first))
	}
	if strings.Contains(res.Stderr, "\x1b") {
		s.Errorf("control characters reach the terminal: %q", res.Stderr)
	}
	if strings.Contains(res.Stderr, "goroutine ") || strings.Contains(rec.Msg, "bug in ocirt") {
		s.Errorf("the program broke: %s", res.Stderr)
	}
	return rec
}

// printed is text as it reaches a terminal.
func printed(text string) string { return strings.ReplaceAll(text, "\x1b", `\x1b`) }

// gone checks that there is no trace of any container.
func (s *stage) gone() {
	s.Helper()
	s.runtime.NothingLeft()
	entries, err := os.ReadDir(s.runtime.Root)
	must(s, err)
	for _, e := range entries {
		s.Errorf("left behind: %s in the state directory", e.Name())
	}
}

// warnings are the texts of the warnings on standard error.
func warnings(t testing.TB, stderr string) []string {
	t.Helper()
	var list []string
	for line := range strings.Lines(stderr) {
		_, rest, ok := strings.Cut(line, "level=warning msg=")
		if !ok {
			continue
		}
		text := ""
		d := json.NewDecoder(strings.NewReader(rest))
		must(t, d.Decode(&text))
		list = append(list, text)
	}
	return list
}
