package plan

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// Text is the plan as a person reads it: a line a step, numbered, with the property that
// asked for it; a star where the host helps.
func (p *Plan) Text() string {
	var b strings.Builder
	n, width, starred := 0, p.width(), false
	for _, section := range p.Sections() {
		if len(section.Steps) == 0 {
			continue
		}
		b.WriteString(section.Name + "\n")
		for _, e := range section.Steps {
			n++
			star := " "
			if section.Name == "sandbox" && helped(e.Step) {
				star, starred = "*", true
			}
			text := e.Step.String()
			pad := max(0, width-utf8.RuneCountInString(text))
			fmt.Fprintf(&b, "%4d  %s%s %s %s\n", n, text, strings.Repeat(" ", pad), star, e.From)
		}
	}
	if starred {
		b.WriteString("\n* with help from the host\n")
	}
	return b.String()
}

// width is the column in which the stars stand: wide enough for most sentences, not for
// the longest.
func (p *Plan) width() int {
	const most = 72
	w := 40
	for _, e := range p.Steps() {
		if n := utf8.RuneCountInString(e.Step.String()); n > w && n <= most {
			w = n
		}
	}
	return w
}

// helped reports whether a step of the sandbox needs ocirt's own namespaces.
func helped(s step.Step) bool {
	switch s.(type) {
	case step.HostStep, step.Opener:
		return true
	}
	return false
}

// A Line is a step as JSON.
type Line struct {
	Number  int    `json:"number"`
	Section string `json:"section"`
	Step    string `json:"step"`
	From    string `json:"from"`
	Host    bool   `json:"host,omitempty"` // the host helps
}

// JSON is the plan for programs: an array of Line.
func (p *Plan) JSON() ([]byte, error) {
	lines := []Line{}
	for _, section := range p.Sections() {
		for _, e := range section.Steps {
			host := section.Name == "host" || section.Name == "sandbox" && helped(e.Step)
			lines = append(lines, Line{len(lines) + 1, section.Name, e.Step.String(), e.From, host})
		}
	}
	b, err := json.MarshalIndent(lines, "", "  ")
	return append(b, '\n'), err
}
