package main

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A verdict is what a result means for the runtime.
type verdict int

const (
	verdictOK verdict = iota
	verdictKnown
	verdictFail
)

// expected holds, for each program, the assertions that may fail and why.
type expected map[string]map[string]string

//go:embed expected.txt
var builtin string

// readExpected reads the built-in list, or the file at path if there is one. Lines are
//
//	program: assertion<TAB>cause
//
// where # starts a comment and the assertion is spelled as the report spells it.
func readExpected(path string) (expected, error) {
	if path == "" {
		return parseExpected("expected.txt", builtin)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the expected failures: %w", err)
	}
	return parseExpected(path, string(data))
}

func parseExpected(path, text string) (expected, error) {
	e := expected{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		left, cause, ok := strings.Cut(line, "\t")
		program, assertion, ok2 := strings.Cut(left, ": ")
		if !ok || !ok2 || cause == "" || assertion == "" {
			return nil, fmt.Errorf("cannot read %s:%d: want program: assertion<TAB>cause", path, n)
		}
		if e[program] == nil {
			e[program] = map[string]string{}
		}
		e[program][assertion] = cause
	}
	return e, nil
}

// judge decides whether every failure of a program is expected.
func (r *result) judge(known expected, allowCgroups bool) {
	r.failures = compact(r.failures)
	r.causes = make([]string, len(r.failures))
	if len(r.failures) == 0 {
		r.verdict = verdictOK
		return
	}
	r.verdict = verdictKnown
	allowed := allowCgroups && strings.HasPrefix(r.program, "linux_cgroups_")
	for i, f := range r.failures {
		cause, ok := known[r.program][f]
		switch {
		case ok:
			r.causes[i] = cause
		case allowed:
			r.causes[i] = "cgroup limits are not judged"
		default:
			r.verdict = verdictFail
		}
	}
}

// compact drops repetitions: some programs check the same thing for many containers.
func compact(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
