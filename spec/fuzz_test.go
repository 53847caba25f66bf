package spec

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ocirt/ocirt/internal/badinput"
)

func FuzzParse(f *testing.F) {
	f.Add(badinput.Default(f))
	f.Add(everything(f))
	for _, r := range readCorpus(f) {
		if raw := r.Config(f, "/b"); r.Where == "static" && len(raw) < 1<<16 {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := Parse("/b", raw)
		if err != nil {
			checkText(t, err.(Problems))
		}
		if b == nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("accepted, but no JSON: %q", raw)
		}
		b.Default()
		checkText(t, b.Validate(Options{}))
		checkText(t, b.Validate(Options{Rootless: true, SystemdCgroup: true, NoPivot: true, Strict: true, StateRoot: "/run"}))
		checkText(t, b.Unsupported())
		LeavesIn(raw)
		if err != nil {
			return
		}
		saved, err := Marshal(b.Spec)
		if err != nil {
			t.Fatalf("cannot save: %v", err)
		}
		again, err := Parse("/b", saved)
		if err != nil {
			t.Fatalf("what was saved is refused: %v\n%s", err, saved)
		}
		if len(again.Notes) > 0 {
			t.Fatalf("notes about what was saved: %v", again.Notes)
		}
		saved2, err := Marshal(again.Spec)
		if err != nil || !bytes.Equal(saved, saved2) {
			t.Fatalf("load, save, load differs (%v):\n%s\n%s", err, saved, saved2)
		}
	})
}

// checkText looks for anything in a message that a terminal or a log line
// would take for something else.
func checkText(t *testing.T, ps Problems) {
	t.Helper()
	for _, p := range ps {
		line := p.line() + p.Contract
		if control(line) || !utf8.ValidString(line) || strings.ContainsRune(line, '\u202e') {
			t.Fatalf("unsafe message %q", line)
		}
		if p.Pointer != "" && p.Pointer[0] != '/' {
			t.Fatalf("bad pointer %q", p.Pointer)
		}
	}
	if out, err := ps.JSON(); err != nil || !json.Valid(out) {
		t.Fatalf("bad JSON (%v): %s", err, out)
	}
}

func FuzzProcessAndID(f *testing.F) {
	f.Add([]byte(`{"args":["x"],"cwd":"/"}`), "id")
	f.Add([]byte(`{"user":{"uid":-1}}`), "..")
	f.Fuzz(func(t *testing.T, raw []byte, id string) {
		p, ps := ParseProcess("p.json", raw)
		if (p == nil) != (ps.Err() != nil) {
			t.Fatalf("process %v with %v", p, ps)
		}
		checkText(t, ps)
		if err := CheckID(id); err != nil && control(err.Error()) {
			t.Fatalf("unsafe message %q", err)
		}
	})
}

// A hostile file must not cost more than it weighs: work grows with its size,
// whatever it is full of.
func TestHostileFilesAreCheap(t *testing.T) {
	many := func(element string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
	}
	const n = 65536
	for name, config := range map[string]string{
		"missing destinations": `{"mounts":` + many("{}", n) + `}`,
		"same rlimit":          `{"process":{"rlimits":` + many(`{"type":"RLIMIT_CPU","hard":1,"soft":1}`, n) + `}}`,
		"capabilities":         `{"process":{"capabilities":{"effective":` + many(`"CAP_NOPE"`, n) + `,"permitted":` + many(`"CAP_BPF"`, n) + `}}}`,
		"devices":              `{"linux":{"devices":` + many(`{"path":"/dev/x","type":"c","major":1,"minor":1}`, n) + `}}`,
		"namespaces":           `{"linux":{"namespaces":` + many(`{"type":"pid"}`, n) + `}}`,
		"bad strings":          `{"process":{"env":` + many(`"\u0000"`, n) + `}}`,
		"wrong types":          `{"process":{"env":` + many(`1`, n) + `}}`,
		"duplicates":           `{` + strings.TrimSuffix(strings.Repeat(`"root":1,`, n), ",") + `}`,
		"unknown keys":         `{` + strings.TrimSuffix(strings.Repeat(`"rooot":1,`, n), ",") + `}`,
		"variants":             `{` + strings.TrimSuffix(strings.Repeat(`"ROOT":1,`, n), ",") + `}`,
		"big number":           `{"process":{"user":{"uid":1` + strings.Repeat("0", 1<<20) + `}}}`,
		"small number":         `{"process":{"user":{"uid":0.` + strings.Repeat("0", 1<<20) + `1}}}`,
	} {
		start := time.Now()
		b, err := Parse("/b", []byte(config))
		if b != nil {
			b.Default()
			b.Validate(Options{})
		}
		_ = err
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("%s: %v", name, d)
		} else {
			t.Logf("%-22s %v", name, d)
		}
	}
}
