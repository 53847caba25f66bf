// Package results collects what `go test -json` reports of many packages, and prints what a
// person wants of it: a line a package, the whole output of what failed, and in the end why
// which tests were skipped, and the totals.
//
// What belongs here: counting and printing. What does not: running tests.
package results

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
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

	to     io.Writer
	output map[string][]string
	skips  skips
	ended  map[string]bool
	broken bool
}

// New collects events, and prints to w.
func New(w io.Writer) *Results {
	return &Results{to: w, output: map[string][]string{}, skips: skips{}, ended: map[string]bool{}}
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
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e, key)
			return
		}
		r.count(e, key)
	case "build-fail":
		r.broken = true
		fmt.Fprint(r.to, strings.Join(r.output[key], ""))
	}
}

func (r *Results) endPackage(e Event, key string) {
	r.ended[e.Package] = true
	if e.Action == "fail" {
		r.broken = true
		fmt.Fprint(r.to, strings.Join(r.output[key], ""))
	}
	if e.Action != "skip" { // there are no tests in it
		fmt.Fprintf(r.to, "%-5s %6.1fs %s\n", e.Action, e.Elapsed, e.Package)
	}
}

func (r *Results) count(e Event, key string) {
	why := ""
	switch e.Action {
	case "pass":
		r.Passed++
	case "skip":
		r.Skipped++
		why = reason(e.Test, r.output[key])
		r.skips.add(why, e)
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
	r.skips.print(r.to)
	failed := r.Failed
	if r.broken && failed == 0 {
		failed = 1
	}
	fmt.Fprintf(r.to, "\n%d passed, %d failed, %d skipped\n", r.Passed, failed, r.Skipped)
}
