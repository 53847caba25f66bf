package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A mutant is a rule that is switched off.
type mutant struct {
	row, rule string
	at        string // file and line of the list
	changes   []change
	by        []test
	only      string // the machine that its tests need; empty: any
}

// A change takes text out of a file and puts other text in.
type change struct{ file, was, is string }

// A test is named by its folder and, in full, its name.
type test struct{ folder, name string }

func (t test) String() string { return t.folder + " " + t.name }

// binary reports whether the test asks the program, not the packages.
func (t test) binary() bool { return strings.HasPrefix(t.folder, "integration/") }

// readLists reads all lists of a folder.
func readLists(folder string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no lists in %s", folder)
	}
	var all []mutant
	for _, file := range files {
		text, readErr := os.ReadFile(file)
		if readErr != nil {
			return nil, readErr
		}
		list, parseErr := parse(filepath.Base(file), text)
		if parseErr != nil {
			return nil, parseErr
		}
		all = append(all, list...)
	}
	return all, err
}

// parse reads a list.
func parse(name string, text []byte) ([]mutant, error) {
	var list []mutant
	last := byte(0) // the kind of the line before
	s := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; s.Scan(); n++ {
		line := s.Text()
		at := fmt.Sprintf("%s:%d", name, n)
		if line == "" || line[0] == '#' {
			last = 0
			continue
		}
		if head, ok := strings.CutPrefix(line, "== "); ok {
			row, rule, _ := strings.Cut(head, "  ")
			list = append(list, mutant{row: row, rule: rule, at: at})
			last = '='
			continue
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%s: nothing may stand before the first row", at)
		}
		if err := list[len(list)-1].add(line, last); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		last = line[0]
	}
	for _, m := range list {
		if m.rule == "" || len(m.changes) == 0 || len(m.by) == 0 {
			return nil, fmt.Errorf("%s: %s needs a rule, a change and a test", m.at, m.row)
		}
	}
	return list, s.Err()
}

// add takes a line into the mutant; last is the kind of the one before.
func (m *mutant) add(line string, last byte) error {
	switch line[0] {
	case '-', '+', ' ':
		if len(m.changes) == 0 {
			return fmt.Errorf("a change needs the name of a file before it")
		}
		c := &m.changes[len(m.changes)-1]
		if line[0] != '+' && last == '+' && line[0] == '-' {
			// Another change of the same file.
			m.changes = append(m.changes, change{file: c.file})
			c = &m.changes[len(m.changes)-1]
		}
		if line[0] != '+' {
			c.was += line[1:] + "\n"
		}
		if line[0] != '-' {
			c.is += line[1:] + "\n"
		}
		return nil
	}
	word, rest, more := strings.Cut(line, " ")
	switch {
	case word == "by":
		folder, name, ok := strings.Cut(rest, " ")
		if !ok {
			return fmt.Errorf("want the folder and the name of a test, found %q", rest)
		}
		m.by = append(m.by, test{folder, name})
	case word == "only":
		m.only = rest
	case !more:
		m.changes = append(m.changes, change{file: word})
	default:
		return fmt.Errorf("cannot understand %q", line)
	}
	return nil
}

// apply returns the files of a mutant as they are without the rule.
func (m *mutant) apply(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, c := range m.changes {
		text, ok := files[c.file]
		if !ok {
			data, err := os.ReadFile(filepath.Join(root, c.file))
			if err != nil {
				return nil, err
			}
			text = string(data)
		}
		if n := occurrences(text, c.was); n != 1 {
			return nil, fmt.Errorf("the list is out of date: in %s this occurs %d times, not once:\n%s", c.file, n, c.was)
		}
		files[c.file] = strings.Replace("\n"+text, "\n"+c.was, "\n"+c.is, 1)[1:]
	}
	return files, nil
}

// occurrences counts the places where whole lines stand in a text.
func occurrences(text, lines string) (n int) {
	for i := range len(text) {
		if (i == 0 || text[i-1] == '\n') && lines != "" && strings.HasPrefix(text[i:], lines) {
			n++
		}
	}
	return n
}
