package results

import (
	"strings"
	"testing"
)

func TestResults(t *testing.T) {
	const stream = `{"Action":"run","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"A","Elapsed":1}
{"Action":"output","Package":"p","Test":"B","Output":"SKIP-REASON: moon: B: no moon\n"}
{"Action":"skip","Package":"p","Test":"B"}
{"Action":"skip","Package":"p","Test":"C"}
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
		"it broke\n", "not an event\n", "fail     2.5s p\n", "  moon: B: no moon\n", "  p C: no reason given\n",
		"\n1 passed, 1 failed, 2 skipped\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	if got := strings.Join(each, "|"); got != "pass A |skip B moon: B: no moon|skip C p C: no reason given|fail D " {
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
