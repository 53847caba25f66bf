package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A result is what one program said of one runtime.
type result struct {
	program  string
	failures []string // assertions, in order, or a word in parentheses
	passed   int      // assertions
	output   string

	verdict verdict
	causes  []string // beside failures: why, if expected
}

// runAll runs the whole suite against one runtime.
func (s *suite) runAll(ctx context.Context, c contender, o options) []result {
	results := make([]result, len(s.programs))
	var group sync.WaitGroup
	slots := make(chan struct{}, max(o.jobs, 1))
	var cgroups sync.Mutex // these all use the same cgroup paths
	for i, p := range s.programs {
		group.Go(func() {
			if usesFixedCgroup(p) {
				cgroups.Lock()
				defer cgroups.Unlock()
			}
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			results[i] = s.runOne(ctx, c, p, o)
		})
	}
	group.Wait()
	return results
}

func usesFixedCgroup(program string) bool {
	return strings.HasPrefix(program, "linux_cgroups_") ||
		program == "delete_resources" || program == "delete_only_create_resources"
}

// runOne runs one program and removes whatever it left behind.
func (s *suite) runOne(parent context.Context, c contender, program string, o options) result {
	r := result{program: program}
	lab, err := newLab(c, s.dir, program, o.configs)
	if err != nil {
		r.failures = []string{"(not run) " + err.Error()}
		return r
	}
	defer lab.clean()

	ctx, cancel := context.WithTimeout(parent, o.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, program))
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "RUNTIME="+lab.wrapper, "TMPDIR="+lab.tmp)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A group of its own, so that the runtime it waits for ends with it; and a
	// limit on waiting for pipes that a container still holds open.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()

	r.output = stdout.String() + stderr.String()
	t := parseTAP(stdout.String())
	r.passed, r.failures = t.passed, t.failures
	if note := ending(ctx, err, stderr.String()); note != "" {
		r.failures = append(r.failures, note)
	} else if t.passed+len(t.failures) == 0 && t.trouble != "" {
		// Some programs have no assertion to fail: they print the error and end well.
		r.failures = append(r.failures, "(error)")
	}
	return r
}

// ending describes in a word or two a program that did not end well.
func ending(ctx context.Context, err error, stderr string) string {
	if err == nil {
		return ""
	}
	if ctx.Err() != nil {
		return "(time limit)"
	}
	if e, ok := errors.AsType[*exec.ExitError](err); ok && e.Exited() {
		if strings.Contains(stderr, "panic: ") {
			return "(panic)"
		}
		return fmt.Sprintf("(exit status %d)", e.ExitCode())
	}
	return "(" + err.Error() + ")"
}
