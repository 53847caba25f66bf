// Package results collects what `go test -json` reports of many packages, and prints what a
// person wants of it: a line a package, the whole output of what failed, the skips with
// their reasons, and the totals on the last line.
//
// What belongs here: counting and printing. What does not: running tests.
package results

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
)

// An Event is a line of `go test -json`, or of `go tool test2json`.
type Event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

// Results are the events so far. Its zero value is not ready: see [New].
type Results struct {
	Passed, Failed, Skipped int // tests and subtests

	// Each, if it is there, is called for every test that ends, with the reason for which
	// it was skipped.
	Each func(e Event, why string)

	to       io.Writer
	output   map[string][]string
	skips    map[string]bool
	packages []string
	ended    map[string]bool
	broken   bool
}

// New collects events, and prints to w.
func New(w io.Writer) *Results {
	return &Results{to: w, output: map[string][]string{}, skips: map[string]bool{}, ended: map[string]bool{}}
}

// Read takes the events of a stream, a line each. Other lines are printed as they are.
func (r *Results) Read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		r.Line(lines.Bytes())
	}
	return lines.Err()
}

// Line takes one line of a stream.
func (r *Results) Line(line []byte) {
	var e Event
	if err := json.Unmarshal(line, &e); err != nil || e.Action == "" {
		fmt.Fprintf(r.to, "%s\n", line)
		return
	}
	r.take(e)
}

func (r *Results) take(e Event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		r.output[key] = append(r.output[key], e.Output)
		if why := skipReason(e.Output); why != "" {
			r.skips[why] = true
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.packages = append(r.packages, fmt.Sprintf("%-5s %6.1fs %s", e.Action, e.Elapsed, e.Package))
			r.ended[e.Package] = true
			if e.Action == "fail" {
				r.broken = true
				fmt.Fprint(r.to, strings.Join(r.output[key], ""))
			}
			return
		}
		r.count(e, key)
	case "build-fail":
		r.broken = true
		fmt.Fprint(r.to, strings.Join(r.output[key], ""))
	}
}

func skipReason(output string) string {
	_, why, _ := strings.Cut(output, "SKIP-REASON:")
	return strings.TrimSpace(why)
}

func (r *Results) count(e Event, key string) {
	why := ""
	switch e.Action {
	case "pass":
		r.Passed++
	case "skip":
		r.Skipped++
		if why = skipReason(strings.Join(r.output[key], "")); why == "" {
			why = e.Package + " " + e.Test + ": no reason given"
			r.skips[why] = true
		}
		why, _, _ = strings.Cut(why, "\n")
	case "fail":
		r.Failed++
		fmt.Fprint(r.to, strings.Join(r.output[key], ""))
	}
	if r.Each != nil {
		r.Each(e, why)
	}
}

// Ended reports whether a package came to its end, well or not.
func (r *Results) Ended(pkg string) bool { return r.ended[pkg] }

// Broken reports whether anything failed: a test, a package, a build.
func (r *Results) Broken() bool { return r.broken || r.Failed > 0 }

// Print prints what came together.
func (r *Results) Print() {
	fmt.Fprintln(r.to)
	for _, p := range r.packages {
		fmt.Fprintln(r.to, p)
	}
	if len(r.skips) > 0 {
		fmt.Fprintln(r.to, "\nskipped, because this machine lacks something:")
		lines := make([]string, 0, len(r.skips))
		for s := range r.skips {
			lines = append(lines, s)
		}
		sort.Strings(lines)
		for _, l := range lines {
			fmt.Fprintln(r.to, "  "+l)
		}
	}
	failed := r.Failed
	if r.broken && failed == 0 {
		failed = 1
	}
	fmt.Fprintf(r.to, "\n%d passed, %d failed, %d skipped\n", r.Passed, failed, r.Skipped)
}
