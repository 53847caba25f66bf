// Package badinput reads the corpus of bad inputs, spec/testdata/corpus, for the tests that
// try it: those of the package that reads config.json, and those of the whole program.
//
// What belongs here: the form of the tables, and making the inputs they describe. What does
// not: what is said about an input, and who says it.
package badinput

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/internal/module"
)

// A Row of a table is an input and what is to be said about it. The corpus' README says what
// its members mean.
type Row struct {
	ID, Input, Where string
	Raw              *string
	Edits            []Edit
	Patch            []Patch
	Setup            string
	Options          Options
	ContainerID      string
	Expect           []Expectation
	Note             string
}

// Options are those of package spec, which this one must not know: its tests use this one.
type Options struct {
	Rootless, SystemdCgroup  bool
	StateRoot                string
	NoPivot, Strict, Sources bool
}

// An Expectation is one thing that is to be said.
type Expectation struct{ Severity, Message, Contract string }

// An Edit changes the text of a configuration.
type Edit struct {
	Cut             int
	Prepend, Append *string
	Replace, With   string
	WithBase64      []byte
	Repeat          string
	Count           int
	Then            string
}

// Tables reads all tables: their names, in order, and their rows.
func Tables(t testing.TB) (names []string, rows map[string][]Row) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder(t), "[A-Z].json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there is no corpus: %v", err)
	}
	rows = map[string][]Row{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(t, err)
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		var list []Row
		if err := d.Decode(&list); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		names = append(names, name)
		rows[name] = list
	}
	return names, rows
}

// Rows are those of all tables, in order.
func Rows(t testing.TB) []Row {
	t.Helper()
	var all []Row
	names, rows := Tables(t)
	for _, name := range names {
		all = append(all, rows[name]...)
	}
	return all
}

// Default is the configuration that rows change: nothing is wrong with it.
func Default(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder(t), "default.json"))
	must(t, err)
	return data
}

// Config is the row's config.json for a bundle in the folder dir.
func (r *Row) Config(t testing.TB, dir string) []byte {
	t.Helper()
	if r.Raw != nil {
		return []byte(*r.Raw)
	}
	raw := Default(t)
	for _, e := range r.Edits {
		raw = e.apply(t, raw)
	}
	return bytes.ReplaceAll(Patched(t, raw, r.Patch), []byte("@BUNDLE"), []byte(dir))
}

func (e *Edit) apply(t testing.TB, raw []byte) []byte {
	t.Helper()
	if e.Cut > 0 {
		return raw[:e.Cut]
	}
	with := append([]byte(e.With), e.WithBase64...)
	with = append(append(with, strings.Repeat(e.Repeat, e.Count)...), e.Then...)
	switch {
	case e.Prepend != nil:
		return append([]byte(*e.Prepend), raw...)
	case e.Append != nil:
		return append(append(raw, *e.Append...), with...)
	}
	if n := bytes.Count(raw, []byte(e.Replace)); n != 1 {
		t.Fatalf("%q occurs %d times, not once", e.Replace, n)
	}
	return bytes.Replace(raw, []byte(e.Replace), with, 1)
}

// folder is that of the tables.
func folder(t testing.TB) string {
	t.Helper()
	root, err := module.Root()
	must(t, err)
	return filepath.Join(root, "spec", "testdata", "corpus")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
