package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	if got := median([]float64{9, 1, 2}); got != 2 {
		t.Errorf("median of three is %v, want 2", got)
	}
	if got := median([]float64{4, 1, 2, 9}); got != 3 {
		t.Errorf("median of four is %v, want 3", got)
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v, want NaN", got)
	}
}

func TestTableRatios(t *testing.T) {
	tab := table{contenders: []contender{{name: "a"}, {name: "b"}, {name: "c"}}}
	tab.add(scenario{name: "run", unit: "µs"}, [][]float64{{10}, {40}, nil})
	var out bytes.Buffer
	tab.print(&out)
	fields := strings.Fields(strings.Split(out.String(), "\n")[1])
	want := []string{"run", "µs", "10", "40", "(0.25)", "-"}
	if strings.Join(fields, " ") != strings.Join(want, " ") {
		t.Errorf("the line reads %q, want %q", fields, want)
	}
}

func TestChoose(t *testing.T) {
	if list, err := choose("rss,run"); err != nil || len(list) != 2 || list[0].name != "rss" {
		t.Errorf("choose gives %v, %v; want rss, run", list, err)
	}
	if _, err := choose("run,nonsense"); err == nil {
		t.Error("an unknown scenario was accepted")
	}
}
