package corpus

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/internal/badinput"
	"github.com/ocirt/ocirt/internal/need"
)

// TestCorpus runs every row of every table.
func TestCorpus(t *testing.T) {
	names, rows := tables(t)
	known := scenes()
	tried := map[string]bool{}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			for _, r := range rows[name] {
				if tried[r.ID] {
					t.Errorf("%s stands twice in the corpus", r.ID)
				}
				tried[r.ID] = true
				sc, ok := known[r.ID]
				if !ok && r.Where == "runtime" && len(r.Patch) == 0 {
					t.Errorf("%s (%s) is neither run nor listed with a reason", r.ID, r.Input)
					continue
				}
				t.Run(r.ID, func(t *testing.T) { r.run(t, sc) })
			}
		})
	}
	for id := range maps.Keys(known) {
		if !tried[id] && wanted(t) {
			t.Errorf("there is a scene for %s, but no such row", id)
		}
	}
}

// wanted reports whether all tables were to be run.
func wanted(t *testing.T) bool {
	t.Helper()
	for _, a := range os.Args {
		if strings.HasPrefix(a, "-test.run=") && strings.Contains(a, "/") {
			return false
		}
	}
	return true
}

func (r *row) run(t *testing.T, sc scene) {
	if sc.skip != "" {
		need.Feature(t, sc.skip, false, sc.why)
	}
	if r.Options.Strict || r.Options.SystemdCgroup && r.errors() == nil {
		r.validate(t)
		return
	}
	s := newStage(t, sc.user || r.Options.Rootless || r.Setup == "unreadable" || strings.Contains(r.Note, "ordinary user"))
	if r.Options.NoPivot {
		s.flags = append(s.flags, "--no-pivot")
	}
	if r.Options.SystemdCgroup {
		s.global = append(s.global, "--systemd-cgroup")
	}
	if sc.set != nil {
		sc.set(s)
	}
	s.write(r)
	if r.Options.StateRoot != "" {
		r.moveStateRoot(s)
	}
	switch {
	case sc.play != nil:
		sc.play(s)
	case sc.late, r.Where == "runtime" && !sc.fine && len(r.errors()) > 0:
		r.failsLate(s, sc)
	case sc.fine, r.errors() == nil:
		r.accepted(s, sc)
	default:
		r.refused(s)
	}
	s.gone()
}

// errors are the row's expectations that refuse the input.
func (r *row) errors() []badinput.Expectation {
	var list []badinput.Expectation
	for _, e := range r.Expect {
		if e.Severity == "error" {
			list = append(list, e)
		}
	}
	return list
}

func (r *row) warnings() []badinput.Expectation {
	return slices.DeleteFunc(slices.Clone(r.Expect), func(e badinput.Expectation) bool { return e.Severity == "error" })
}

// shown is how many problems an error lists.
const shown = 20

// refused is for what is decided before anything is done: the whole message is known.
func (r *row) refused(s *stage) {
	want := "ocirt create failed: "
	errs := r.errors()
	if c := errs[0].Contract; c != "" {
		want += c + ": "
	}
	for i, e := range errs {
		if i == shown {
			want += fmt.Sprintf("\n%d more", len(errs)-shown)
			break
		}
		if i > 0 {
			want += "\n"
		}
		want += strings.ReplaceAll(e.Message, "@BUNDLE", s.dir)
	}
	id := r.ContainerID
	if r.Where != "id" {
		id = s.runtime.ID()
	}
	rec := s.fails("create", id)
	if rec.Msg != want {
		s.Errorf("%s\n got %s\nwant %s", r.Input, rec.Msg, want)
	}
}

// accepted is for what is no mistake, or only worth a warning.
func (r *row) accepted(s *stage, sc scene) {
	id := s.runtime.ID()
	if r.Where == "id" {
		id = r.ContainerID
	}
	res := s.do("create", id)
	if res.Code != 0 {
		unsupported(s, res.Stderr)
		if sc.either && strings.Contains(res.Stderr, r.Expect[0].Message) {
			return
		}
		s.Fatalf("%s is refused: %v", r.Input, res)
	}
	defer func() {
		if res := s.runtime.Do("delete", "--force", "--", id); res.Code != 0 {
			s.Errorf("cannot delete: %v", res)
		}
		r.noGroup(s, id)
	}()
	said := slices.DeleteFunc(warnings(s, res.Stderr), func(text string) bool {
		// A matter of the machine, not of the row.
		return strings.HasSuffix(text, ": SELinux is not enabled, ignored")
	})
	for _, e := range r.warnings() {
		// The warning itself, or the words that callers match for the same.
		message := strings.ReplaceAll(e.Message, "@BUNDLE", s.dir)
		if !slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, strings.TrimPrefix(message, "config.json: ")) }) {
			s.Errorf("no warning says %q: %q", message, said)
		}
		if !strings.Contains(strings.Join(said, "\n"), e.Contract) {
			s.Errorf("no warning has the words %q: %q", e.Contract, said)
		}
	}
	if len(r.warnings()) == 0 && len(said) > 0 && sc.words == nil {
		s.Errorf("warnings without a reason: %q", said)
	}
	for _, w := range sc.words {
		if !strings.Contains(strings.Join(said, "\n"), w) {
			s.Errorf("no warning says %q: %q", w, said)
		}
	}
	if state := s.runtime.Do("state", "--", id).OK(); !strings.Contains(state.Stdout, `"status": "created"`) {
		s.Errorf("it is not created: %s", state.Stdout)
	}
	if sc.after != nil {
		sc.after(s, id)
	}
}

// noGroup checks that a container with an id of the corpus has no cgroup left.
func (r *row) noGroup(s *stage, id string) {
	groups, err := filepath.Glob("/sys/fs/cgroup/*/" + id)
	must(s, err)
	for _, g := range groups {
		s.Errorf("left behind: cgroup %s", g)
	}
}

// validate is for what create does not offer, strictness, and for what would need a systemd.
func (r *row) validate(t *testing.T) {
	s := newStage(t, false)
	s.write(r)
	var args []string
	if r.Options.SystemdCgroup {
		args = append(args, "--systemd-cgroup")
	}
	args = append(args, "validate")
	if r.Options.Strict {
		args = append(args, "--strict")
	}
	res := s.runtime.Do(append(args, s.dir)...)
	need.Feature(t, "strict", !strings.Contains(res.Stderr, "not defined: -strict"), "ocirt validate has no --strict yet")
	want, code := "", 0
	for _, e := range r.Expect {
		want += "config.json: " + e.Severity + ": " + strings.TrimPrefix(e.Message, "config.json: ") + "\n"
	}
	if r.errors() != nil {
		code = 1
	}
	if res.Code != code || want != "" && res.Stdout != want {
		t.Errorf("%s\n got %d, %s\nwant %d, %s", r.Input, res.Code, res.Stdout, code, want)
	}
}

// moveStateRoot puts what the row says of its state directory into the one of the test.
func (r *row) moveStateRoot(s *stage) {
	path := filepath.Join(s.dir, "config.json")
	data, err := os.ReadFile(path)
	must(s, err)
	must(s, os.WriteFile(path, []byte(strings.ReplaceAll(string(data), r.Options.StateRoot, s.runtime.Root)), 0o644))
}

// failsLate is for what only making the container shows: the property and the words of the
// cause count, not the sentence around them.
func (r *row) failsLate(s *stage, sc scene) {
	command := "create"
	if sc.command != "" {
		command = sc.command
	}
	rec := s.fails(command, s.runtime.ID())
	words := sc.words
	if words == nil {
		for _, e := range r.errors() {
			property, cause := split(e.Message)
			words = append(words, cause)
			if property != "" && !names(rec, property) {
				s.Errorf("%s: the record does not name %s: %+v", r.Input, property, rec)
			}
		}
	}
	for _, w := range words {
		if !strings.Contains(rec.Msg, strings.ReplaceAll(w, "@BUNDLE", s.dir)) {
			unsupported(s, rec.Msg)
			s.Errorf("%s: the error does not say %q:\n%s", r.Input, w, rec.Msg)
		}
	}
	for _, p := range sc.from {
		if !names(rec, p) {
			s.Errorf("%s: the record does not name %s: %+v", r.Input, p, rec)
		}
	}
}

// split divides a message of the corpus into the property, if it begins with one, and the
// cause.
func split(message string) (property, cause string) {
	first, rest, ok := strings.Cut(message, ": ")
	if !ok || strings.ContainsAny(first, " ") || !strings.ContainsAny(first, ".[") {
		return "", message
	}
	return first, rest
}

// names reports whether an error tells of a property: by its path, or by a JSON pointer
// to it or to what it is a part of.
func names(rec record, property string) bool {
	if strings.Contains(rec.Msg, property) {
		return true
	}
	if rec.Config == "" {
		return false
	}
	pointer := "/" + strings.NewReplacer(`["`, "/", `"]`, "", "[", "/", "]", "", ".", "/").Replace(property)
	if head, name, ok := strings.Cut(property, `["`); ok {
		pointer = "/" + strings.ReplaceAll(head, ".", "/") + "/" + strings.TrimSuffix(name, `"]`)
	}
	return pointer == rec.Config || strings.HasPrefix(pointer, rec.Config+"/") || strings.HasPrefix(rec.Config, pointer+"/")
}
