package results

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// skips are the tests that were skipped, by the reason, and by the package.
type skips map[string]map[string][]string

func (s skips) add(why string, e Event) {
	if s[why] == nil {
		s[why] = map[string][]string{}
	}
	s[why][e.Package] = append(s[why][e.Package], e.Test)
}

// reason is why a test was skipped: what it has printed last. The gates of package need say
// "SKIP-REASON: what is needed: the test: why". Others use t.Skip, which puts the place in
// the source before it; scripts have a command for it.
func reason(test string, output []string) string {
	why := ""
	for _, line := range output {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "SKIP-REASON:"); ok {
			return strings.Replace(strings.TrimSpace(rest), ": "+test+": ", ": ", 1)
		}
		if _, said, ok := strings.Cut(line, "] skip '"); ok && line[0] == '>' {
			why = strings.TrimSuffix(said, "'") // the log of a testscript
		}
		place, said, ok := strings.Cut(line, ": ")
		if ok && strings.Contains(place, ".go:") {
			why = strings.TrimSpace(strings.TrimPrefix(said, "SKIP-REASON:"))
		}
	}
	if why == "" {
		why = "no reason given"
	}
	return why
}

// print prints the reasons, and below each the tests.
func (s skips) print(w io.Writer) {
	if len(s) == 0 {
		return
	}
	fmt.Fprintln(w, "\nskipped, and why:")
	for _, why := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintln(w, "  "+why)
		for _, pkg := range slices.Sorted(maps.Keys(s[why])) {
			line := "     "
			for i, word := range folded(s[why][pkg]) {
				if i == 0 {
					word = strings.TrimPrefix(pkg, module) + ": " + word
				}
				if len(line)+len(word) > width {
					fmt.Fprintln(w, line)
					line = "         "
				}
				line += " " + word
			}
			fmt.Fprintln(w, line)
		}
	}
}

const (
	module = "github.com/ocirt/ocirt/"
	width  = 110
	few    = 3  // subtests of a test
	many   = 24 // names that are printed of a package
)

// folded names tests, and counts the subtests of one that are more than a few, and the tests
// that are too many to read.
func folded(tests []string) []string {
	count := map[string]int{}
	for _, t := range tests {
		if top, _, sub := strings.Cut(t, "/"); sub {
			count[top]++
		}
	}
	var names []string
	for _, t := range tests {
		top, _, _ := strings.Cut(t, "/")
		if n := count[top]; n > few {
			t = fmt.Sprintf("%s/... (%d)", top, n)
		}
		if !slices.Contains(names, t) {
			names = append(names, t)
		}
	}
	slices.Sort(names)
	if len(names) > many {
		names = append(names[:many-1:many-1], fmt.Sprintf("and %d more", len(names)-many+1))
	}
	for i := range len(names) - 1 {
		names[i] += ","
	}
	return names
}
