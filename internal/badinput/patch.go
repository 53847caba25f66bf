package badinput

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// A Patch changes one value of a configuration.
type Patch struct {
	Path   string // a JSON pointer; "-" at its end appends
	Value  json.RawMessage
	Remove bool
	Repeat *struct {
		Count int
		Value json.RawMessage
		Text  string
	}
}

// Patched is a document with some of its values changed. Numbers keep their digits; without
// a patch everything else does, too.
func Patched(t testing.TB, raw []byte, patches []Patch) []byte {
	t.Helper()
	if len(patches) == 0 {
		return raw
	}
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

// value is what takes the place of old.
func (p *Patch) value(old any) any {
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
func (p Patch) apply(t testing.TB, doc any) any {
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
		old, there := node[name]
		switch {
		case nested:
			node[name] = deeper.apply(t, old)
		case p.Remove && !there:
			t.Fatalf("there is nothing to remove at %s", p.Path)
		case p.Remove:
			delete(node, name)
		default:
			node[name] = p.value(old)
		}
		return node
	case []any:
		if name == "-" {
			return append(node, p.value(nil))
		}
		i, err := strconv.Atoi(name)
		if err != nil || i >= len(node) {
			t.Fatalf("there is no entry %s", name)
		}
		if nested {
			node[i] = deeper.apply(t, node[i])
		} else {
			node[i] = p.value(node[i])
		}
		return node
	}
	t.Fatalf("there is nothing at %s", p.Path)
	return nil
}
