// Command validation runs the OCI validation suite (opencontainers/runtime-tools)
// against one or more runtimes and says what each of them fails.
//
//	go run ./integration/validation [flags] [NAME=]PATH...
//
// The first runtime is the one judged: the exit status is 0 if it fails nothing
// but what expected.txt lists, 1 if it does, and 2 if the suite could not run.
// Every other runtime is there for comparison. It needs root and, for the first
// build, the Go module proxy.
//
// What belongs here: building the suite, running it, reading its answers, and
// cleaning up behind it. What does not: any knowledge of a particular runtime.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ocirt/ocirt/integration/internal/cgrouphost"
)

// exitCannotRun tells a broken suite from a runtime that fails it.
const exitCannotRun = 2

type options struct {
	timeout      time.Duration
	jobs         int
	only         string
	expected     string
	allowCgroups bool
	verbose      bool
	configs      string
}

// A contender is a runtime under test.
type contender struct {
	name string
	path string
}

func main() {
	status, err := start(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "validation:", err)
		status = exitCannotRun
	}
	os.Exit(status)
}

// start returns the exit status.
func start(args []string) (int, error) {
	o, contenders, err := parse(args)
	if err != nil {
		return 0, err
	}
	if status, done, err := cgrouphost.Enter(); done || err != nil {
		return status, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, o, contenders)
	if err == nil && !ok {
		return 1, nil
	}
	return 0, err
}

func parse(args []string) (options, []contender, error) {
	var o options
	fs := flag.NewFlagSet("validation", flag.ContinueOnError)
	fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "time limit of each program")
	fs.IntVar(&o.jobs, "j", 4, "programs running at a time (those that use cgroup limits run alone)")
	fs.StringVar(&o.only, "only", "*", "run only the programs that match this pattern, such as 'process*'")
	fs.StringVar(&o.expected, "expected", "", "file of the failures that are not the runtime's fault, instead of the built-in one")
	fs.BoolVar(&o.allowCgroups, "allow-cgroups", false, "let every linux_cgroups_* program fail")
	fs.BoolVar(&o.verbose, "v", false, "print the whole output of each program that fails")
	fs.StringVar(&o.configs, "configs", "", "keep each config.json that the suite makes in this folder")
	if err := fs.Parse(args); err != nil {
		return o, nil, err
	}
	if fs.NArg() == 0 {
		return o, nil, errors.New("cannot run without a runtime: name one as NAME=PATH or PATH")
	}
	if _, err := filepath.Match(o.only, ""); err != nil {
		return o, nil, fmt.Errorf("cannot use pattern %q: %w", o.only, err)
	}
	if o.configs != "" {
		abs, err := filepath.Abs(o.configs)
		if err != nil {
			return o, nil, err
		}
		o.configs = abs
	}
	var list []contender
	for _, arg := range fs.Args() {
		c, err := parseContender(arg)
		if err != nil {
			return o, nil, err
		}
		list = append(list, c)
	}
	return o, list, nil
}

// parseContender reads NAME=PATH or PATH; PATH may be a bare name found on $PATH.
func parseContender(arg string) (contender, error) {
	name, path, ok := strings.Cut(arg, "=")
	if !ok {
		name, path = filepath.Base(arg), arg
	}
	found, err := exec.LookPath(path)
	if err != nil {
		return contender{}, fmt.Errorf("cannot find runtime %s: %w", name, err)
	}
	abs, err := filepath.Abs(found)
	if err != nil {
		return contender{}, fmt.Errorf("cannot find runtime %s: %w", name, err)
	}
	return contender{name, abs}, nil
}

// run reports whether the first contender fails nothing but what is expected.
func run(ctx context.Context, o options, contenders []contender) (bool, error) {
	known, err := readExpected(o.expected)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "ocirt-validation-")
	if err != nil {
		return false, fmt.Errorf("cannot make a working folder: %w", err)
	}
	defer os.RemoveAll(dir)
	// The root of a container with a user namespace has to get to its bundle.
	if err := os.Chmod(dir, 0o755); err != nil {
		return false, fmt.Errorf("cannot open the working folder: %w", err)
	}

	s, err := buildSuite(dir, o.only)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(os.Stderr, "%d programs built\n", len(s.programs))

	results := make([][]result, len(contenders))
	for i, c := range contenders {
		start := time.Now()
		results[i] = s.runAll(ctx, c, o)
		for j := range results[i] {
			results[i][j].judge(known, o.allowCgroups)
		}
		fmt.Fprintf(os.Stderr, "%s: %.0f s\n", c.name, time.Since(start).Seconds())
	}
	if ctx.Err() != nil {
		return false, errors.New("cannot finish: interrupted")
	}
	report(os.Stdout, contenders, results, o.verbose)
	for _, r := range results[0] {
		if r.verdict == verdictFail {
			return false, nil
		}
	}
	return true, nil
}
