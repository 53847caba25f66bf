package results

import (
	"strings"
	"testing"
)

func TestResults(t *testing.T) {
	const stream = `{"Action":"run","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"A","Elapsed":1}
{"Action":"output","Package":"p","Test":"B","Output":"    SKIP-REASON: moon: B: no moon\n"}
{"Action":"skip","Package":"p","Test":"B"}
{"Action":"skip","Package":"p","Test":"C"}
{"Action":"output","Package":"p","Test":"E","Output":"=== RUN   E\n"}
{"Action":"output","Package":"p","Test":"E","Output":"    e_test.go:7: there is no e: not here\n"}
{"Action":"output","Package":"p","Test":"E","Output":"--- SKIP: E (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"E"}
{"Action":"output","Package":"p","Test":"S","Output":"        > [!root] skip 'root: not here'\n"}
{"Action":"skip","Package":"p","Test":"S"}
{"Action":"output","Package":"p","Test":"F","Output":"SKIP-REASON: moon: G: it goes on without\n"}
{"Action":"pass","Package":"p","Test":"F"}
{"Action":"output","Package":"p","Test":"D","Output":"it broke\n"}
{"Action":"fail","Package":"p","Test":"D"}
not an event
{"Action":"fail","Package":"p","Elapsed":2.5}
{"Action":"start","Package":"q"}
`
	var out strings.Builder
	var each []string
	r := New(&out)
	r.Each = func(e Event, why string) { each = append(each, e.Action+" "+e.Test+" "+why) }
	if err := r.Read(strings.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	r.Print()
	for _, want := range []string{
		"it broke\n", "not an event\n", "fail     2.5s p\n",
		"\nskipped, and why:\n  moon: no moon\n      p: B\n  no reason given\n      p: C\n  root: not here\n      p: S\n  there is no e: not here\n      p: E\n\n",
		"\n2 passed, 1 failed, 4 skipped\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	if got := strings.Join(each, "|"); got != "pass A |skip B moon: no moon|skip C no reason given|skip E there is no e: not here|skip S root: not here|pass F |fail D " {
		t.Errorf("tests that ended: %q", got)
	}
	if !r.Broken() || !r.Ended("p") || r.Ended("q") {
		t.Errorf("broken %v, p ended %v, q ended %v", r.Broken(), r.Ended("p"), r.Ended("q"))
	}
}

// A package that dies before its tests is a failure, though no test failed.
func TestBrokenPackage(t *testing.T) {
	var out strings.Builder
	r := New(&out)
	r.Line([]byte(`{"Action":"fail","Package":"p"}`))
	r.Print()
	if !r.Broken() || !strings.HasSuffix(out.String(), "0 passed, 1 failed, 0 skipped\n") {
		t.Errorf("broken %v:\n%s", r.Broken(), &out)
	}
}

// Of many tests with one reason each is named, but the subtests of one are counted.
func TestManySkips(t *testing.T) {
	var out strings.Builder
	r := New(&out)
	for _, p := range []string{module + "q", module + "a/b"} {
		for _, test := range []string{"Two/a", "Two/b", "Four/a", "Four/b", "Four/c", "Four/d", "One", strings.Repeat("Long", 25)} {
			r.take(Event{Action: "output", Package: p, Test: test, Output: "SKIP-REASON: root: " + test + ": not root\n"})
			r.take(Event{Action: "skip", Package: p, Test: test})
		}
	}
	r.Print()
	long := strings.Repeat("Long", 25)
	want := "  root: not root\n      a/b: Four/... (4),\n          " + long + ",\n          One, Two/a, Two/b\n      q: Four/... (4),\n"
	if !strings.Contains(out.String(), want) {
		t.Errorf("got:\n%swant:\n%s", &out, want)
	}
}

func TestTooManySkips(t *testing.T) {
	var tests []string
	for i := range many {
		tests = append(tests, "Test"+string(rune('A'+i)))
	}
	if got := strings.Join(folded(tests), " "); !strings.HasSuffix(got, "TestW, TestX") {
		t.Errorf("of %d there are %s", many, got)
	}
	if got := strings.Join(folded(append(tests, "TestY")), " "); !strings.HasSuffix(got, "TestW, and 2 more") {
		t.Errorf("of %d there are %s", many+1, got)
	}
}
