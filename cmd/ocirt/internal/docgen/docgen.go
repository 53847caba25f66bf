// Package docgen writes the man pages and the completions of shells from the description of
// the command line, the one that the program itself parses by.
//
// What belongs here: turning the description into text. What does not: words about a
// command, which are in its description; and the program itself, which imports nothing of
// this.
package docgen

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"
)

// Files are the generated files, by their path below docs.
func Files(root *cli.Command) map[string]string {
	p := describe(root)
	files := map[string]string{
		"completions/" + p.Name + ".bash": bash(p),
		"completions/_" + p.Name:          zsh(p),
		"completions/" + p.Name + ".fish": fish(p),
		"man/" + p.Name + ".8":            mainPage(p),
	}
	for _, c := range p.Commands {
		files["man/"+p.Name+"-"+c.Name+".8"] = page(p, c)
	}
	return files
}

// A command is what is documented; the program is the outermost one.
type command struct {
	Name, Words, Args, Description string
	Flags                          []flag
	Commands                       []command
}

type program = command

// A flag as it is documented. Value is what a person reads for its value; empty: none.
type flag struct {
	Names   []string // with dashes, the long one first
	Value   string
	Words   string
	Default string
	Choices []string // the values there are, if they are few
}

func describe(c *cli.Command) command {
	d := command{Name: c.Name, Words: c.Usage, Args: c.ArgsUsage, Description: strings.TrimSpace(c.Description)}
	for _, f := range c.Flags {
		if v, ok := f.(cli.VisibleFlag); !ok || v.IsVisible() {
			d.Flags = append(d.Flags, describeFlag(f))
		}
	}
	for _, inner := range c.Commands {
		if !inner.Hidden {
			d.Commands = append(d.Commands, describe(inner))
		}
	}
	return d
}

func describeFlag(f cli.Flag) flag {
	var d flag
	for _, n := range f.Names() {
		if len(n) > 1 {
			d.Names = append(d.Names, "--"+n)
		}
	}
	for _, n := range f.Names() {
		if len(n) == 1 {
			d.Names = append(d.Names, "-"+n)
		}
	}
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return d
	}
	d.Value, d.Words = placeholder(doc.GetUsage())
	if !doc.TakesValue() {
		d.Value = ""
		return d
	}
	d.Choices = choices(d.Words)
	switch {
	case len(d.Choices) > 0:
		d.Value = strings.Join(d.Choices, "|")
	case d.Value == "":
		d.Value = valueOf(f)
	}
	if text := strings.Trim(doc.GetDefaultText(), `"`); text != "" && text != "0" && !strings.Contains(d.Words, "default") {
		d.Default = text
	}
	return d
}

// placeholder takes the name of the value out of a flag's words: "write to `FILE`".
func placeholder(usage string) (value, words string) {
	before, rest, found := strings.Cut(usage, "`")
	value, after, closed := strings.Cut(rest, "`")
	if !found || !closed {
		return "", usage
	}
	return value, before + value + after
}

func valueOf(f cli.Flag) string {
	switch f.(type) {
	case *cli.IntFlag, *cli.Int64Flag, *cli.UintFlag, *cli.Uint64Flag, *cli.IntSliceFlag, *cli.Int64SliceFlag:
		return "N"
	case *cli.DurationFlag:
		return "DURATION"
	}
	return "VALUE"
}

// choices are the values that a flag's words list: "format of log records: text or json".
func choices(words string) []string {
	if i := strings.LastIndex(words, ": "); i >= 0 {
		words = words[i+2:]
	}
	words, _, _ = strings.Cut(words, ";")
	before, last, ok := strings.Cut(words, " or ")
	if !ok {
		return nil
	}
	list := append(strings.Split(before, ", "), last)
	for _, w := range list {
		if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz-") != "" {
			return nil
		}
	}
	return list
}

// Kinds of values and arguments, for completion.
const (
	kindNone = iota
	kindFile
	kindDir
	kindContainer
	kindSignal
	kindCommand // one of the command's own
)

func (f flag) kind() int {
	switch f.Value {
	case "FILE", "PATH":
		return kindFile
	case "DIR":
		return kindDir
	}
	return kindNone
}

// first is the kind of a command's first argument.
func (c command) first() int {
	switch c.Name {
	case "create", "restore": // the id is a new one
		return kindNone
	case "run":
		return kindDir
	}
	switch {
	case len(c.Commands) > 0:
		return kindCommand
	case strings.HasPrefix(c.Args, "<container-id>"):
		return kindContainer
	case strings.HasPrefix(c.Args, "[bundle]"):
		return kindDir
	}
	return kindNone
}

// second is the kind of the arguments after it.
func (c command) second() int {
	if strings.Contains(c.Args, "[signal]") {
		return kindSignal
	}
	return kindNone
}

// valued are the names of those flags whose value is the next word.
func valued(flags []flag) []string {
	var list []string
	for _, f := range flags {
		if f.Value != "" {
			list = append(list, f.Names...)
		}
	}
	return list
}

func signals() string {
	return "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP TSTP WINCH"
}

// Missing lists what has no words, or bad ones.
func Missing(root *cli.Command) []string {
	var list []string
	p := describe(root)
	all := []command{p}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Commands...)
	}
	for _, c := range all {
		if c.Words == "" || c.Description == "" {
			list = append(list, fmt.Sprintf("command %s: it needs a usage and a description", c.Name))
		}
		if strings.HasSuffix(c.Words, ".") || c.Description != "" && !strings.HasSuffix(c.Description, ".") && c.Name != p.Name {
			list = append(list, fmt.Sprintf("command %s: the usage is no sentence, the description is some", c.Name))
		}
		for _, f := range c.Flags {
			if f.Words == "" || strings.HasSuffix(f.Words, ".") {
				list = append(list, fmt.Sprintf("command %s: flag %s needs words, without a full stop", c.Name, f.Names[0]))
			}
		}
	}
	return list
}
