// Command bench measures low-level container runtimes side by side.
//
//	go run ./integration/bench [-n RUNS] [-s SCENARIO,...] [NAME=PATH...]
//
// The first runtime is the one judged: every other column shows its median and, in
// parentheses, first/other, so that less than 1.00 means the first needs less. Runs are
// interleaved, one of each runtime at a time and in random order, so that a change in the
// machine's mood, and what the one before left behind, meets all of them. Known runtimes
// on $PATH are added behind those named, unless -peers=false. It needs root, a static busybox and an otherwise idle machine.
//
// What belongs here: scenarios, and measuring from outside. What does not: judging;
// the exit status is 0 whatever the figures are.
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

	"github.com/ocirt/ocirt/integration/internal/cgrouphost"
)

type options struct {
	runs      int
	scenarios []scenario
	crowd     int
	contender []contender
}

// A contender is a runtime to measure.
type contender struct {
	name, path string
	root       string // its state folder, on a tmpfs
}

func main() {
	status, err := start(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		status = 1
	}
	os.Exit(status)
}

func start(args []string) (int, error) {
	o, err := parse(args)
	if err != nil {
		return 0, err
	}
	if status, done, err := cgrouphost.Enter(); done || err != nil {
		return status, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return 0, run(ctx, o)
}

func parse(args []string) (options, error) {
	var o options
	var names string
	var peers bool
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.IntVar(&o.runs, "n", 100, "runs of each runtime in each scenario")
	fs.IntVar(&o.crowd, "crowd", 200, "created containers in scenario crowd")
	fs.StringVar(&names, "s", "", "scenarios, separated by commas; default all")
	fs.BoolVar(&peers, "peers", true, "add the runtimes found on $PATH")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: bench [flags] [NAME=PATH...]")
		fs.PrintDefaults()
		fmt.Fprintln(fs.Output(), "scenarios:")
		for _, s := range scenarios() {
			fmt.Fprintf(fs.Output(), "  %-10s %s (%s)\n", s.name, s.about, s.unit)
		}
	}
	err := fs.Parse(args)
	if err != nil {
		return o, err
	}
	if o.runs < 1 || o.crowd < 1 {
		return o, errors.New("cannot measure fewer than one run")
	}
	if o.scenarios, err = choose(names); err != nil {
		return o, err
	}
	if o.contender, err = find(fs.Args(), peers); err != nil {
		return o, err
	}
	return o, nil
}

// find resolves NAME=PATH and PATH arguments and adds the peers that are installed.
func find(args []string, peers bool) ([]contender, error) {
	var list []contender
	have := map[string]bool{}
	for _, arg := range args {
		name, path, ok := strings.Cut(arg, "=")
		if !ok {
			name, path = filepath.Base(arg), arg
		}
		found, err := exec.LookPath(path)
		if err == nil {
			found, err = filepath.Abs(found)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot find runtime %s: %w", name, err)
		}
		if have[name] {
			return nil, fmt.Errorf("cannot tell two runtimes named %s apart: use NAME=PATH", name)
		}
		have[name] = true
		list = append(list, contender{name: name, path: found})
	}
	for _, name := range []string{"crun", "runc", "youki"} {
		if path, err := exec.LookPath(name); peers && err == nil && !have[name] {
			list = append(list, contender{name: name, path: path})
		}
	}
	if len(list) == 0 {
		return nil, errors.New("cannot find a runtime: name one as NAME=PATH")
	}
	return list, nil
}

func run(ctx context.Context, o options) error {
	l, err := newLab(o.contender)
	if err != nil {
		return err
	}
	defer l.close()
	t := table{contenders: l.contenders}
	for _, s := range o.scenarios {
		row, err := s.run(ctx, l, o)
		if ctx.Err() != nil {
			return errors.New("cannot finish: interrupted")
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", s.name, err)
		}
		t.add(s, row)
	}
	t.print(os.Stdout)
	return nil
}
