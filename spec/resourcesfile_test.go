package spec

import (
	"encoding/json"
	"strings"
	"testing"
)

// What is said of resources in config.json is said of them in a file of their own, with
// shorter paths.
func TestParseResourcesSaysTheSame(t *testing.T) {
	rows := 0
	for _, r := range readCorpus(t) {
		if r.Where != "static" || len(r.Patch) != 1 || !strings.HasPrefix(r.Patch[0].Path, "/linux/resources/") {
			continue
		}
		raw, err := json.Marshal(map[string]any{strings.TrimPrefix(r.Patch[0].Path, "/linux/resources/"): r.Patch[0].Value})
		if err != nil || strings.Contains(r.Patch[0].Path[len("/linux/resources/"):], "/") {
			continue
		}
		rows++
		t.Run(r.ID, func(t *testing.T) {
			got, problems := ParseResources("resources.json", raw)
			var want []string
			for _, e := range r.Expect {
				want = append(want, strings.Replace(e.Message, "config.json: linux.resources.", "resources.json: ", 1))
			}
			var said []string
			for _, p := range problems {
				said = append(said, p.line())
				if !strings.HasPrefix(p.Pointer, "/") || strings.HasPrefix(p.Pointer, "/linux") {
					t.Errorf("pointer %q", p.Pointer)
				}
			}
			if strings.Join(said, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s\n got %q\nwant %q", raw, said, want)
			}
			if (got == nil) != (len(problems.Errors()) > 0) {
				t.Errorf("%v beside %v", got, problems)
			}
			if got != nil && CheckResources("", got).Err() != nil {
				t.Errorf("checked again: %v", CheckResources("", got))
			}
		})
	}
	if rows < 20 {
		t.Errorf("only %d rows", rows)
	}
}

func TestParseResourcesForm(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                     "",
		`{"memory":null}`:        "",
		`{"memory":{}}`:          "",
		``:                       "resources.json: empty file",
		`{"pids":{"limit":1}`:    "resources.json: ",
		`{} {}`:                  "resources.json: trailing data",
		`[]`:                     "resources.json: expected an object",
		`{"pids":{"limit":"1"}}`: "resources.json: pids.limit: expected a number, found string",
		`{"pids":{"limit":1},"pids":{"limit":2}}`: "resources.json: pids: ",
	} {
		r, problems := ParseResources("resources.json", []byte(text))
		err := problems.Err()
		switch {
		case want == "" && (err != nil || r == nil):
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
