package main

import (
	"encoding/json"
	"regexp"
	"strings"
)

// A tapReport is what a program said in the Test Anything Protocol.
type tapReport struct {
	passed   int
	failures []string // descriptions of the assertions that failed, in order
	trouble  string   // an "error" in a diagnostic
}

// parseTAP reads the output of a validation program.
//
// Programs with several containers print each one's own report as a JSON string in the
// diagnostic before an assertion without a name; such an assertion is named after what
// failed inside.
func parseTAP(text string) tapReport {
	assertion := regexp.MustCompile(`^(not )?ok(?:\s+\d+)?(?:\s+-)?(?:\s+(.*))?$`)
	var t tapReport
	var inner []string
	var block strings.Builder
	inBlock := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "---":
			inBlock = true
			block.Reset()
			continue
		case inBlock && trimmed == "...":
			inBlock = false
			failed, trouble := readDiagnostic(block.String())
			inner = append(inner, failed...)
			if t.trouble == "" {
				t.trouble = trouble
			}
			continue
		case inBlock:
			block.WriteString(line + "\n")
			continue
		}
		m := assertion.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name, directive, _ := strings.Cut(m[2], "# ")
		name = strings.TrimSpace(name)
		switch {
		case m[1] == "" || strings.HasPrefix(strings.ToUpper(directive), "TODO"):
			t.passed++
		case name == "" && len(inner) > 0:
			t.failures = append(t.failures, inner...)
		case name == "":
			t.failures = append(t.failures, "(unnamed)")
		default:
			t.failures = append(t.failures, name)
		}
		inner = nil
	}
	return t
}

// readDiagnostic returns the failed assertions and the error that a diagnostic quotes.
func readDiagnostic(block string) (failed []string, trouble string) {
	var d map[string]any
	if json.Unmarshal([]byte(block), &d) != nil {
		return nil, ""
	}
	trouble, _ = d["error"].(string)
	if out, _ := d["stdout"].(string); out != "" {
		failed = parseTAP(out).failures
	}
	return failed, trouble
}
