package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func lists(t *testing.T) (root string, all []mutant) {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	all, err = readLists(".")
	if err != nil {
		t.Fatal(err)
	}
	return root, all
}

// The lists are up to date: what is to be switched off stands where they say, and the tests
// are there. Running the mutants takes minutes, this does not.
func TestListsAreUpToDate(t *testing.T) {
	root, all := lists(t)
	for _, m := range all {
		files, err := m.apply(root)
		if err != nil {
			t.Errorf("%s, %s: %v", m.at, m.row, err)
		}
		for name, text := range files {
			if was, _ := os.ReadFile(filepath.Join(root, name)); string(was) == text {
				t.Errorf("%s, %s: nothing is changed in %s", m.at, m.row, name)
			}
		}
		for _, by := range m.by {
			name, _, _ := strings.Cut(by.name, "/")
			if !hasTest(t, filepath.Join(root, by.folder), name) {
				t.Errorf("%s, %s: there is no test %v", m.at, m.row, by)
			}
		}
	}
}

func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T) {\n") {
			return true
		}
	}
	return false
}

// Every row of the tables S and D has a mutant: a new row needs one.
func TestEveryRow(t *testing.T) {
	root, all := lists(t)
	have := map[string]bool{}
	for _, m := range all {
		for row := range strings.SplitSeq(m.row, ", ") {
			have[row] = true
		}
	}
	for _, table := range []string{"S", "D"} {
		text, err := os.ReadFile(filepath.Join(root, "spec/testdata/corpus", table+".json"))
		if err != nil {
			t.Fatal(err)
		}
		rows := strings.Split(string(text), `{"id": "`)[1:]
		if len(rows) < 20 {
			t.Errorf("only %d rows of table %s were found", len(rows), table)
		}
		for _, rest := range rows {
			if row, _, _ := strings.Cut(rest, `"`); !have[row] {
				t.Errorf("%s has no mutant", row)
			}
		}
	}
}

func TestParse(t *testing.T) {
	const text = `# a comment

== X-1  a rule
f.go
 before
-	one
+	two
-	three
by p T/a_b
by integration/q U

== X-2  another
f.go
-	four
g.go
-	five
+	six
+	seven
by p T
only a host
`
	list, err := parse("x.txt", []byte(text))
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	one, two := list[0], list[1]
	if one.row != "X-1" || one.rule != "a rule" || one.at != "x.txt:3" || one.only != "" || two.only != "a host" {
		t.Errorf("%+v, %+v", one, two)
	}
	want := []change{{"f.go", "before\n\tone\n", "before\n\ttwo\n"}, {"f.go", "\tthree\n", ""}}
	if len(one.changes) != 2 || one.changes[0] != want[0] || one.changes[1] != want[1] {
		t.Errorf("%+v", one.changes)
	}
	want = []change{{"f.go", "\tfour\n", ""}, {"g.go", "\tfive\n", "\tsix\n\tseven\n"}}
	if len(two.changes) != 2 || two.changes[0] != want[0] || two.changes[1] != want[1] {
		t.Errorf("%+v", two.changes)
	}
	if len(one.by) != 2 || one.by[0] != (test{"p", "T/a_b"}) || one.by[0].binary() || !one.by[1].binary() {
		t.Errorf("%+v", one.by)
	}
	for _, bad := range []string{"f.go\n", "== X  y\n", "== X  y\n-a\n", "== X  y\nf.go\n-a\nby p\n", "== X  y\nf.go\n-a\n", "== X  y\nsome words\n", "== X\nf.go\n-a\nby p T\n"} {
		if list, err := parse("x", []byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, list)
		}
	}
}

func TestApply(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(root+"/f.go", []byte("a\nb\nb\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		changes []change
		want    string // empty: it is refused
	}{
		{[]change{{"f.go", "a\n", "x\n"}, {"f.go", "c\n", ""}}, "x\nb\nb\n"},
		{[]change{{"f.go", "b\nc\n", "y\n"}}, "a\nb\ny\n"},
		{[]change{{"f.go", "b\n", "x\n"}}, ""},
		{[]change{{"f.go", "d\n", "x\n"}}, ""},
		{[]change{{"f.go", "", "x\n"}}, ""},
		{[]change{{"g.go", "a\n", "x\n"}}, ""},
	} {
		files, err := (&mutant{changes: c.changes}).apply(root)
		if (err != nil) != (c.want == "") || files["f.go"] != c.want {
			t.Errorf("%+v: %q, %v", c.changes, files, err)
		}
	}
}

// What the tests printed decides, not only that they failed.
func TestFound(t *testing.T) {
	const fail = "=== RUN   T/a\n    x_test.go:1: words\n--- FAIL: T (0.00s)\n    --- FAIL: T/a (0.00s)\nFAIL\n"
	failed := os.ErrInvalid
	for _, c := range []struct {
		out   string
		err   error
		name  string
		words string // empty: the mutant is not found
	}{
		{fail, failed, "T/a", "T/a: x_test.go:1: words"},
		{fail, failed, "T", "T: x_test.go:1: words"},
		{fail, nil, "T/a", ""},
		{fail, failed, "T/b", ""},
		{"--- PASS: T (0.00s)\nPASS\n", nil, "T", ""},
		{"    --- SKIP: T/a (0.00s)\n", nil, "T/a", ""},
		{fail + "panic: test timed out after 3m0s\n", failed, "T/a", ""},
		{"--- FAIL: T (0.00s)\nFAIL\n", failed, "T", ""},
		{"", failed, "T", ""},
	} {
		words, err := found(c.out, c.err, c.name)
		if words != c.words || (err == nil) != (c.words != "") {
			t.Errorf("%q of %q: %q, %v", c.name, c.out, words, err)
		}
	}
	nested := "    y_test.go:9: in the namespaces: exit status 1\n        z_test.go:2: the reason\n--- FAIL: T (0.00s)\n"
	if words, err := found(nested, failed, "T"); words != "T: z_test.go:2: the reason" {
		t.Errorf("%q, %v", words, err)
	}
}
