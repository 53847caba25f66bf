package tour

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func offsets(c *specs.Spec) {
	lab.Namespace(specs.TimeNamespace, "")(c)
	c.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 86400, Nanosecs: 5}, "boottime": {Secs: 604800}}
}

func TestTimeOffsets(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		host := lab.ParseReport(t, lab.Host(t, "report", "clocks"))
		r := s.runtime.Report(s.bundle(t, offsets))
		var got []string
		for _, l := range r.Clocks.Offsets {
			got = append(got, strings.Join(strings.Fields(l), " "))
		}
		if want := []string{"monotonic 86400 5", "boottime 604800 0"}; !reflect.DeepEqual(got, want) {
			t.Errorf("offsets are %q, want %q", got, want)
		}
		for name, c := range map[string]struct {
			inside, host string
			shift        float64
		}{
			"monotonic": {r.Clocks.Monotonic, host.Clocks.Monotonic, 86400},
			"boottime":  {r.Clocks.Boottime, host.Clocks.Boottime, 604800},
			"realtime":  {r.Clocks.Realtime, host.Clocks.Realtime, 0},
		} {
			if d := number(t, c.inside) - number(t, c.host) - c.shift; d < 0 || d > 60 {
				t.Errorf("%s is %s inside, a moment after it was %s outside; want it shifted by %v", name, c.inside, c.host, c.shift)
			}
		}
		if r.Namespace(specs.TimeNamespace) == lab.HostNamespace(specs.TimeNamespace) {
			t.Error("the time namespace is the host's")
		}
	})
}

func TestTimeNamespaceWithoutOffsets(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		r := s.runtime.Report(s.bundle(t, lab.Namespace(specs.TimeNamespace, "")))
		if got := r.Namespace(specs.TimeNamespace); got == "" || got == lab.HostNamespace(specs.TimeNamespace) {
			t.Errorf("time namespace is %q, want a new one", got)
		}
	})
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func itoa(n int) string { return strconv.Itoa(n) }
