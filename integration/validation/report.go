package main

import (
	"fmt"
	"io"
	"strings"
)

// report prints the table of programs and runtimes, then what failed and why, then
// the totals.
func report(w io.Writer, contenders []contender, results [][]result, verbose bool) {
	fmt.Fprintf(w, "%-32s", "program")
	for _, c := range contenders {
		fmt.Fprintf(w, " %-8s", c.name)
	}
	fmt.Fprintln(w)
	for i, r := range results[0] {
		fmt.Fprintf(w, "%-32s", r.program)
		for j := range contenders {
			fmt.Fprintf(w, " %-8s", word(results[j][i].verdict))
		}
		fmt.Fprintln(w)
	}
	for j, c := range contenders {
		reportFailures(w, c, results[j], verbose)
	}
	fmt.Fprintln(w)
	for j, c := range contenders {
		var n [3]int
		for _, r := range results[j] {
			n[r.verdict]++
		}
		fmt.Fprintf(w, "%s: %d of %d ok, %d known, %d FAIL\n", c.name, n[verdictOK], len(results[j]), n[verdictKnown], n[verdictFail])
	}
	reportBehind(w, contenders, results)
}

func word(v verdict) string {
	switch v {
	case verdictOK:
		return "ok"
	case verdictKnown:
		return "known"
	default:
		return "FAIL"
	}
}

func reportFailures(w io.Writer, c contender, results []result, verbose bool) {
	for _, r := range results {
		for i, f := range r.failures {
			mark, cause := "FAIL ", ""
			if r.causes[i] != "" {
				mark, cause = "known", "\t"+r.causes[i]
			}
			fmt.Fprintf(w, "\n%s %s %s: %s%s", mark, c.name, r.program, f, cause)
		}
		if verbose && len(r.failures) > 0 {
			fmt.Fprintf(w, "\n    | %s", strings.ReplaceAll(strings.TrimSpace(r.output), "\n", "\n    | "))
		}
	}
	fmt.Fprintln(w)
}

// reportBehind names the programs that a peer passes and the first runtime does not.
func reportBehind(w io.Writer, contenders []contender, results [][]result) {
	for i, r := range results[0] {
		if r.verdict == verdictOK {
			continue
		}
		for j := 1; j < len(contenders); j++ {
			if results[j][i].verdict == verdictOK {
				fmt.Fprintf(w, "%s passes %s, %s does not\n", contenders[j].name, r.program, contenders[0].name)
			}
		}
	}
}
