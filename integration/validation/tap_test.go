package main

import (
	"slices"
	"testing"
)

func TestParseTAP(t *testing.T) {
	for _, c := range []struct {
		name, text string
		passed     int
		failures   []string
		trouble    string
	}{
		{"plain", "TAP version 13\nok 1 - a\nnot ok 2 - b c\n1..2\n", 1, []string{"b c"}, ""},
		{"skipped", "1..1\nok 1 # SKIP no such thing\n", 1, nil, ""},
		{"inner", "  ---\n  {\n    \"stdout\": \"ok 1 - x\\nnot ok 2 - has y\\n\"\n  }\n  ...\nnot ok 1 -\n", 0, []string{"has y"}, ""},
		{"inner of one that passed", "  ---\n  {\"stdout\": \"not ok 1 - z\\n\"}\n  ...\nok 1 -\nnot ok 2 - w\n", 1, []string{"w"}, ""},
		{"quoted in a diagnostic", "ok 1 - a\n  ---\n  {\n    \"text\": 1,\nnot ok 2 - b\n  }\n  ...\n", 1, nil, ""},
		{"error without assertion", "TAP version 13\n  ---\n  {\"error\": \"boom\"}\n  ...\n1..0\n", 0, nil, "boom"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := parseTAP(c.text)
			if got.passed != c.passed || !slices.Equal(got.failures, c.failures) || got.trouble != c.trouble {
				t.Errorf("parseTAP = %+v, want %d passed, failures %q, trouble %q", got, c.passed, c.failures, c.trouble)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	known, err := parseExpected("list", "# comment\n\np: a: b\tbecause\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		program  string
		failures []string
		allow    bool
		want     verdict
	}{
		{"p", nil, false, verdictOK},
		{"p", []string{"a: b", "a: b"}, false, verdictKnown},
		{"p", []string{"a: b", "c"}, false, verdictFail},
		{"q", []string{"a: b"}, false, verdictFail},
		{"linux_cgroups_x", []string{"c"}, false, verdictFail},
		{"linux_cgroups_x", []string{"c"}, true, verdictKnown},
	} {
		r := result{program: c.program, failures: c.failures}
		if r.judge(known, c.allow); r.verdict != c.want {
			t.Errorf("%s %q, cgroups allowed %v: verdict %v, want %v", c.program, c.failures, c.allow, r.verdict, c.want)
		}
	}
}

func TestExpectedList(t *testing.T) {
	e, err := readExpected("")
	if err != nil {
		t.Fatal(err)
	}
	if len(e) < 10 {
		t.Errorf("the built-in list has %d programs, want all that are in expected.txt", len(e))
	}
	for _, bad := range []string{"p: a", "p\tcause", "p: a\t"} {
		if _, err := parseExpected("list", bad); err == nil {
			t.Errorf("line %q was accepted", bad)
		}
	}
}
