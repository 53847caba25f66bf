package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A pattern is a regular expression for ids: POSIX extended (regex(7)), without classes in
// brackets such as [:alpha:]. It is not package regexp because the tables that come with that
// cost every start of the program more than a tenth of what it may take.
type pattern struct{ code []instruction }

// An instruction of the machine that matches takes one byte of a set, goes on in two places,
// or looks where it is.
type instruction struct {
	op   byte // 's' set, 'f' fork, '^', '$', 'm' match
	set  *byteSet
	x, y int // of a fork: where to
}

type byteSet [256]bool

// maxCode bounds what repetitions of repetitions can cost.
const maxCode = 10000

// compilePattern reads an expression.
func compilePattern(text string) (*pattern, error) {
	p := &patternParser{text: text}
	code, err := p.alternatives(0)
	if err == nil && p.text != "" {
		err = errors.New("unmatched )")
	}
	if err != nil {
		return nil, err
	}
	return &pattern{append(code, instruction{op: 'm'})}, nil
}

// match tells whether the expression is found anywhere in text.
func (p *pattern) match(text string) bool {
	now := make([]bool, len(p.code))
	for at := 0; ; at++ {
		next := make([]bool, len(p.code))
		p.follow(now, 0, at, len(text)) // it may begin anywhere
		for i, in := range p.code {
			switch {
			case !now[i]:
			case in.op == 'm':
				return true
			case in.op == 's' && at < len(text) && in.set[text[at]]:
				p.follow(next, i+1, at+1, len(text))
			}
		}
		if at == len(text) {
			return false
		}
		now = next
	}
}

// follow marks the instruction at pc, and those that are reached from it without a byte.
func (p *pattern) follow(set []bool, pc, at, end int) {
	if set[pc] {
		return
	}
	set[pc] = true
	switch in := p.code[pc]; {
	case in.op == 'f':
		p.follow(set, pc+in.x, at, end)
		p.follow(set, pc+in.y, at, end)
	case in.op == '^' && at == 0, in.op == '$' && at == end:
		p.follow(set, pc+1, at, end)
	}
}

// A patternParser translates what is left of an expression. Code is relocatable: forks count
// from themselves.
type patternParser struct{ text string }

func (p *patternParser) next() byte {
	c := p.text[0]
	p.text = p.text[1:]
	return c
}

func (p *patternParser) alternatives(depth int) ([]instruction, error) {
	if depth > 100 {
		return nil, errors.New("nested too deeply")
	}
	code, err := p.sequence(depth)
	for err == nil && strings.HasPrefix(p.text, "|") {
		p.next()
		var other []instruction
		if other, err = p.sequence(depth); err != nil {
			break
		}
		// fork, one, fork to the end, other
		both := append([]instruction{{op: 'f', x: 1, y: len(code) + 2}}, code...)
		both = append(both, instruction{op: 'f', x: len(other) + 1, y: len(other) + 1})
		code = append(both, other...)
	}
	return code, err
}

func (p *patternParser) sequence(depth int) ([]instruction, error) {
	var code []instruction
	for p.text != "" && p.text[0] != '|' && p.text[0] != ')' {
		part, err := p.atom(depth)
		if err != nil {
			return nil, err
		}
		for p.text != "" && strings.IndexByte("*+?{", p.text[0]) >= 0 {
			least, most, err := p.count()
			if err != nil {
				return nil, err
			}
			if part, err = repeat(part, least, most); err != nil {
				return nil, err
			}
		}
		code = append(code, part...)
	}
	return code, nil
}

func (p *patternParser) atom(depth int) ([]instruction, error) {
	set := new(byteSet)
	switch c := p.next(); c {
	case '(':
		code, err := p.alternatives(depth + 1)
		if err == nil && p.text == "" {
			err = errors.New("missing )")
		}
		if err != nil {
			return nil, err
		}
		p.next()
		return code, nil
	case '^', '$':
		return []instruction{{op: c}}, nil
	case '*', '+', '?', '{':
		return nil, fmt.Errorf("nothing to repeat before %q", c)
	case '[':
		if err := p.bracket(set); err != nil {
			return nil, err
		}
	case '.':
		for i := range set {
			set[i] = true
		}
	case '\\':
		if p.text == "" {
			return nil, errors.New(`a \ at the end`)
		}
		set[p.next()] = true
	default:
		set[c] = true
	}
	return []instruction{{op: 's', set: set}}, nil
}

// bracket reads a set up to its ].
func (p *patternParser) bracket(set *byteSet) error {
	not := strings.HasPrefix(p.text, "^")
	if not {
		p.next()
	}
	for first := true; ; first = false {
		if p.text == "" {
			return errors.New("missing ]")
		}
		low := p.next()
		if low == ']' && !first {
			break
		}
		high := low
		if len(p.text) > 1 && p.text[0] == '-' && p.text[1] != ']' {
			p.next()
			high = p.next()
		}
		if high < low {
			return fmt.Errorf("bad range %c-%c", low, high)
		}
		for c := int(low); c <= int(high); c++ {
			set[c] = true
		}
	}
	for i := range set {
		set[i] = set[i] != not
	}
	return nil
}

// count reads how often the part before it may occur; most is -1 if there is no end.
func (p *patternParser) count() (least, most int, err error) {
	switch p.next() {
	case '*':
		return 0, -1, nil
	case '+':
		return 1, -1, nil
	case '?':
		return 0, 1, nil
	}
	inner, rest, ok := strings.Cut(p.text, "}")
	p.text = rest
	from, to, two := strings.Cut(inner, ",")
	least, err = strconv.Atoi(from)
	switch {
	case !two:
		most = least
	case to == "":
		most = -1
	case err == nil:
		most, err = strconv.Atoi(to)
	}
	if !ok || err != nil || least < 0 || most >= 0 && most < least || max(least, most) > 255 {
		return 0, 0, fmt.Errorf("bad count {%s", inner)
	}
	return least, most, nil
}

// repeat gives code that takes a part so many times.
func repeat(part []instruction, least, most int) ([]instruction, error) {
	if (max(least, most)+1)*(len(part)+2) > maxCode {
		return nil, errors.New("too large")
	}
	var code []instruction
	for range least {
		code = append(code, part...)
	}
	if most < 0 { // fork over, part, fork back
		code = append(code, instruction{op: 'f', x: 1, y: len(part) + 2})
		code = append(code, part...)
		return append(code, instruction{op: 'f', x: -len(part), y: 1}), nil
	}
	for range most - least {
		code = append(code, instruction{op: 'f', x: 1, y: len(part) + 1})
		code = append(code, part...)
	}
	return code, nil
}
