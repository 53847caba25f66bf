package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// patience is how long the tests of one mutant may take.
const patience = 3 * time.Minute

func (b *bench) program(name string) string { return filepath.Join(b.dir, name, "ocirt") }

func (b *bench) testFile(name, folder string) string {
	return filepath.Join(b.dir, name, strings.ReplaceAll(folder, "/", "-")+".test")
}

func (b *bench) goRun(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = b.root, append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	why := err.Error()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, ".go:") {
			why += "\n" + strings.TrimSpace(line)
		}
	}
	return fmt.Errorf("it does not compile: go %s: %s", args[0], why)
}

// buildProgram builds the runtime; overlay may be empty.
func (b *bench) buildProgram(ctx context.Context, overlay, to string) error {
	return b.goRun(ctx, "build", "-overlay="+overlay, "-trimpath", "-buildvcs=false", "-tags=urfave_cli_no_template", "-ldflags=-s -w", "-o", to, "./cmd/ocirt")
}

// buildTest builds the tests of a folder; overlay may be empty.
func (b *bench) buildTest(ctx context.Context, overlay, folder, to string) error {
	return b.goRun(ctx, "test", "-c", "-overlay="+overlay, "-tags=urfave_cli_no_template", "-ldflags=-s -w", "-o", to, "./"+folder)
}

// runTests runs some tests of a folder. The error is that of the program.
func (b *bench) runTests(ctx context.Context, folder, file, program string, tests []test) (string, error) {
	patterns := make([]string, len(tests))
	for i, t := range tests {
		parts := strings.Split(t.name, "/")
		for j, p := range parts {
			parts[j] = "^" + regexp.QuoteMeta(p) + "$"
		}
		patterns[i] = strings.Join(parts, "/")
	}
	cmd := exec.CommandContext(ctx, file, "-test.v", "-test.count=1", "-test.timeout="+patience.String(), "-test.run="+strings.Join(patterns, "|"))
	cmd.Dir = filepath.Join(b.root, folder)
	cmd.Env = append(os.Environ(), "OCIRT="+program, "OCIRT_TEST_PROGRAMS="+b.dir)
	// What it leaves behind goes with it, even if it is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// outcome is how a test ended: PASS, FAIL or SKIP, or nothing if it did not run.
func outcome(out, name string) string {
	for line := range strings.Lines(out) {
		word, rest, ok := strings.Cut(strings.TrimLeft(line, " "), ": ")
		if end, isEnd := strings.CutPrefix(word, "--- "); ok && isEnd && strings.HasPrefix(rest, name+" (") {
			return end
		}
	}
	return ""
}

// found returns the first words of the test that failed, or why the mutant is not found.
func found(out string, err error, name string) (string, error) {
	switch end := outcome(out, name); {
	case strings.Contains("\n"+out, "\npanic: "):
		return "", errors.New("the test panics, or takes too long:\n" + out)
	case end == "PASS":
		return "", errors.New("the test passes without the rule")
	case end != "FAIL" || err == nil:
		return "", errors.New("the test does not fail by its own words:\n" + out)
	}
	words := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		file, _, ok := strings.Cut(line, ".go:")
		if ok && !strings.Contains(file, " ") && (words == "" || strings.Contains(words, inNamespaces)) {
			words = line
		}
	}
	if words == "" {
		return "", errors.New("the test says nothing:\n" + out)
	}
	return name + ": " + words, nil
}

// inNamespaces is what a test says of its part that runs in a process of its own, and
// which says more.
const inNamespaces = "in the namespaces: "
