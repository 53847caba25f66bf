// Command report reads the output of `go test -json` and prints what a person wants of it:
// a line a package, the whole output of what failed, the skips with their reasons, and the
// totals on the last line.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
)

type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

type results struct {
	output                  map[string][]string
	passed, failed, skipped int
	skips                   map[string]bool
	packages                []string
	broken                  bool
}

func main() {
	r := results{output: map[string][]string{}, skips: map[string]bool{}}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var e event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			fmt.Println(in.Text())
			continue
		}
		r.take(e)
	}
	r.print()
}

func (r *results) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		r.output[key] = append(r.output[key], e.Output)
		if i := strings.Index(e.Output, "SKIP-REASON:"); i >= 0 {
			r.skips[strings.TrimSpace(e.Output[i+len("SKIP-REASON:"):])] = true
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.packages = append(r.packages, fmt.Sprintf("%-5s %6.1fs %s", e.Action, e.Elapsed, e.Package))
			if e.Action == "fail" {
				r.broken = true
				fmt.Print(strings.Join(r.output[key], ""))
			}
			return
		}
		r.count(e, key)
	case "build-fail":
		r.broken = true
		fmt.Print(strings.Join(r.output[key], ""))
	}
}

func (r *results) count(e event, key string) {
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped++
		if !strings.Contains(strings.Join(r.output[key], ""), "SKIP-REASON:") {
			r.skips[e.Package+" "+e.Test+": no reason given"] = true
		}
	case "fail":
		r.failed++
		fmt.Print(strings.Join(r.output[key], ""))
	}
}

func (r *results) print() {
	fmt.Println()
	for _, p := range r.packages {
		fmt.Println(p)
	}
	if len(r.skips) > 0 {
		fmt.Println("\nskipped, because this machine lacks something:")
		lines := make([]string, 0, len(r.skips))
		for s := range r.skips {
			lines = append(lines, s)
		}
		sort.Strings(lines)
		for _, l := range lines {
			fmt.Println("  " + l)
		}
	}
	if r.broken && r.failed == 0 {
		r.failed = 1
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
}
