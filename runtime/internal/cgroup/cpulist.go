package cgroup

import (
	"strconv"
	"strings"
)

// A span is a range of processors or memory nodes, both ends included.
type span struct{ from, to int }

// parseList reads a list of processors or memory nodes: "0-2,7" (cpuset(7), "List format").
// It is false for anything else.
func parseList(text string) ([]span, bool) {
	var out []span
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		from, to, isRange := strings.Cut(part, "-")
		a, err := strconv.ParseUint(from, 10, 16)
		b := a
		if err == nil && isRange {
			b, err = strconv.ParseUint(to, 10, 16)
		}
		if err != nil || b < a {
			return nil, false
		}
		out = append(out, span{int(a), int(b)})
	}
	return out, true
}

// inList tells whether all of one list is in another. What cannot be read is.
func inList(part, whole string) bool {
	some, ok := parseList(part)
	all, ok2 := parseList(whole)
	if !ok || !ok2 {
		return true
	}
	for _, s := range some {
		for n := s.from; n <= s.to; n++ {
			if !inSpans(n, all) {
				return false
			}
		}
	}
	return true
}

func inSpans(n int, spans []span) bool {
	for _, s := range spans {
		if s.from <= n && n <= s.to {
			return true
		}
	}
	return false
}
