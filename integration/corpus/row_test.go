package corpus

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// folder holds the tables; its README says what their members mean.
const folder = "../../spec/testdata/corpus"

type row struct {
	ID, Input, Where string
	Raw              *string
	Edits            []edit
	Patch            []patch
	Setup            string
	Options          struct {
		Rootless, SystemdCgroup, NoPivot, Strict, Sources bool
		StateRoot                                         string
	}
	ContainerID string
	Expect      []expectation
	Note        string
}

type expectation struct{ Severity, Message, Contract string }

type edit struct {
	Cut             int
	Prepend, Append *string
	Replace, With   string
	WithBase64      []byte
	Repeat          string
	Count           int
	Then            string
}

type patch struct {
	Path   string
	Value  json.RawMessage
	Remove bool
	Repeat *struct {
		Count int
		Value json.RawMessage
		Text  string
	}
}

// tables reads all of them: their names, and their rows.
func tables(t testing.TB) (names []string, rows map[string][]row) {
	t.Helper()
	files, err := filepath.Glob(folder + "/[A-Z].json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus in %s: %v", folder, err)
	}
	rows = map[string][]row{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(t, err)
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		var list []row
		if err := d.Decode(&list); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		names = append(names, name)
		rows[name] = list
	}
	return names, rows
}

// config is the row's config.json for a bundle directory.
func (r *row) config(t testing.TB, dir string) []byte {
	t.Helper()
	if r.Raw != nil {
		return []byte(*r.Raw)
	}
	raw, err := os.ReadFile(folder + "/default.json")
	must(t, err)
	for _, e := range r.Edits {
		raw = e.apply(t, raw)
	}
	if len(r.Patch) > 0 {
		raw = applied(t, raw, r.Patch)
	}
	return bytes.ReplaceAll(raw, []byte("@BUNDLE"), []byte(dir))
}

func (e *edit) apply(t testing.TB, raw []byte) []byte {
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
	case bytes.Count(raw, []byte(e.Replace)) != 1:
		t.Fatalf("%q does not occur once", e.Replace)
	}
	return bytes.Replace(raw, []byte(e.Replace), with, 1)
}

// applied changes the values of a document. Numbers keep their digits.
func applied(t testing.TB, raw []byte, patches []patch) []byte {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var doc any
	must(t, d.Decode(&doc))
	for _, p := range patches {
		doc = p.apply(t, doc)
	}
	raw, err := json.Marshal(doc)
	must(t, err)
	return raw
}

func (p *patch) value(old any) any {
	if p.Repeat == nil {
		return p.Value
	}
	if p.Repeat.Text != "" {
		return strings.Repeat(p.Repeat.Text, p.Repeat.Count)
	}
	list, _ := old.([]any)
	for range p.Repeat.Count {
		list = append(list, p.Repeat.Value)
	}
	return list
}

// apply changes doc. Values put in earlier are decoded when a later path leads into them.
func (p patch) apply(t testing.TB, doc any) any {
	t.Helper()
	if raw, ok := doc.(json.RawMessage); ok {
		doc = nil
		must(t, json.Unmarshal(raw, &doc))
	}
	name, rest, nested := strings.Cut(strings.TrimPrefix(p.Path, "/"), "/")
	deeper := p
	deeper.Path = rest
	switch node := doc.(type) {
	case map[string]any:
		switch {
		case nested:
			node[name] = deeper.apply(t, node[name])
		case p.Remove:
			delete(node, name)
		default:
			node[name] = p.value(node[name])
		}
		return node
	case []any:
		if name == "-" {
			return append(node, p.value(nil))
		}
		i, err := strconv.Atoi(name)
		must(t, err)
		if nested {
			node[i] = deeper.apply(t, node[i])
		} else {
			node[i] = p.value(node[i])
		}
		return node
	}
	t.Fatalf("nothing at %s", p.Path)
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
