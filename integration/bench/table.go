package main

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// A table is what bench prints: one line for each scenario.
type table struct {
	contenders []contender
	lines      []line
}

type line struct {
	scenario scenario
	medians  []float64 // NaN where there is none
}

func (t *table) add(s scenario, rows [][]float64) {
	l := line{scenario: s}
	for i := range t.contenders {
		l.medians = append(l.medians, median(rows[i]))
	}
	t.lines = append(t.lines, l)
}

func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "%-10s %4s", "scenario", "")
	for _, c := range t.contenders {
		fmt.Fprintf(w, " %17s", c.name)
	}
	fmt.Fprintln(w)
	for _, l := range t.lines {
		fmt.Fprintf(w, "%-10s %4s", l.scenario.name, l.scenario.unit)
		for i, m := range l.medians {
			switch {
			case math.IsNaN(m):
				fmt.Fprintf(w, " %17s", "-")
			case i == 0 || math.IsNaN(l.medians[0]):
				fmt.Fprintf(w, " %9.0f        ", m)
			default:
				fmt.Fprintf(w, " %9.0f (%.2f) ", m, l.medians[0]/m)
			}
		}
		fmt.Fprintln(w)
	}
}

// median returns NaN for no figures.
func median(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
