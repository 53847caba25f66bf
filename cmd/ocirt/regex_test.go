package main

import (
	"math/rand"
	"regexp"
	"testing"
)

// The standard library is the oracle.
func TestPattern(t *testing.T) {
	texts := []string{"", "a", "b", "aa", "ab", "ba", "abc", "aab", "abab", "pod-1", "pod-12", "pod_1", "x.y", "a+b", "A-Z", "]", "^", "a-"}
	for _, expr := range []string{
		"", "a", "^a$", "^$", "a|b", "^(a|b)$", "a*", "^a*$", "^a+$", "^a?$", "^(ab)*$", "^(ab)+$", "^a{2}$", "^a{1,}b$", "^a{0,1}$", "^(a|ab)(c|b)?$",
		".", "^..$", "[a-c]+", "^[^a]$", "^[]a]$", "^[a-]+$", "^[^]]$", `^x\.y$`, `^a\+b$`, "^pod-[0-9]+$", "pod", "1$", "()", "^(|a)b$", "^(a*)*b$", "(a|b)*abb?", "a||b", "^(a?){3}$", "^[A-Z]-",
	} {
		p, err := compilePattern(expr)
		if err != nil {
			t.Errorf("%q: %v", expr, err)
			continue
		}
		re := regexp.MustCompile(expr)
		for _, text := range texts {
			if got, want := p.match(text), re.MatchString(text); got != want {
				t.Errorf("%q in %q: %v, want %v", expr, text, got, want)
			}
		}
	}
}

func TestPatternRefuses(t *testing.T) {
	for _, expr := range []string{"(", ")", "a)", "(a", "[", "[a", "[b-a]", "*", "+a", "a|*", `\`, "a{", "a{x}", "a{2,1}", "a{300}", "a{-1}", "((a{200}){200}){200}"} {
		if _, err := compilePattern(expr); err == nil {
			t.Errorf("%q is accepted", expr)
		}
	}
}

// Random expressions of a small alphabet: the same answers as the oracle, which is also what
// says whether they are expressions.
func TestPatternRandom(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	const alphabet = "aab|()*+?.^$[]-"
	tried := 0
	for range 20000 {
		expr := make([]byte, r.Intn(8))
		for i := range expr {
			expr[i] = alphabet[r.Intn(len(alphabet))]
		}
		p, err := compilePattern(string(expr))
		re, err2 := regexp.Compile(string(expr))
		if err != nil || err2 != nil {
			continue // they differ in what they take: x**, x*?, and a - in brackets
		}
		lazy := regexp.MustCompile(`[*+?][*+?]`)
		if lazy.Match(expr) {
			continue
		}
		tried++
		for range 5 {
			text := make([]byte, r.Intn(6))
			for i := range text {
				text[i] = "ab-"[r.Intn(3)]
			}
			if got, want := p.match(string(text)), re.Match(text); got != want {
				t.Fatalf("%q in %q: %v, want %v", expr, text, got, want)
			}
		}
	}
	if tried < 500 {
		t.Errorf("only %d expressions were tried", tried)
	}
}
