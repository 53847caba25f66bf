package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/results"
)

// suiteLimit is for one suite in the machine.
const suiteLimit = 40 * time.Minute

// A task is what one machine does.
type task struct {
	name string
	run  func(context.Context, *options, string, *printer) outcome
}

// An outcome is that of a task.
type outcome struct {
	passed, failed, skipped int
	bad                     []string // what was not ok
	broken                  error    // the machine did not come to the end
}

// A printer prints what several machines say, a line at a time.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *printer) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format, args...)
}

// runTests runs parts of the tests: see the package's comment.
func runTests(ctx context.Context, o *options, parts []string) (int, error) {
	begin := time.Now()
	all, err := readPackages(filepath.Join(here, "packages"))
	if err != nil {
		return statusFailed, err
	}
	suites, clients, err := choose(all, parts)
	if err != nil {
		return statusUsage, err
	}
	if err := o.image.readyFor(ctx, o.machine.kernel, clients); err != nil {
		return statusNoImage, err
	}
	fmt.Printf("# image ready after %.0f s\n", time.Since(begin).Seconds())
	dir, err := os.MkdirTemp("", "ocirt-vm-")
	if err != nil {
		return statusFailed, err
	}
	defer os.RemoveAll(dir)
	if err := pack(ctx, dir, o, suites); err != nil {
		return statusFailed, err
	}
	fmt.Printf("# tests compiled after %.0f s\n", time.Since(begin).Seconds())
	var tasks []task
	if len(suites) > 0 {
		tasks = append(tasks, task{"tests", func(ctx context.Context, o *options, dir string, p *printer) outcome {
			return o.runSuites(ctx, dir, suites, p)
		}})
	}
	if clients {
		tasks = append(tasks, clientTasks(o.clients)...)
	}
	before := spent()
	good, failed := report(os.Stdout, tasks, runTasks(ctx, o, dir, tasks, &printer{w: os.Stdout}))
	fmt.Printf("# all done after %.0f s, with %.0f s of processor time in %d machine(s) at a time\n",
		time.Since(begin).Seconds(), (spent() - before).Seconds(), min(o.atOnce, len(tasks)))
	switch {
	case good:
		return 0, nil
	case !failed && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return statusTimeout, fmt.Errorf("not finished in %v; nothing had failed", o.limit)
	}
	return statusFailed, nil
}

// runTasks runs them all in their order, as many at a time as there may be machines: a
// machine's software CPU has little use for more than one of the host's.
func runTasks(ctx context.Context, o *options, dir string, tasks []task, p *printer) []outcome {
	outcomes := make([]outcome, len(tasks))
	slots := make(chan struct{}, max(1, o.atOnce))
	var wg sync.WaitGroup
	for i, t := range tasks {
		slots <- struct{}{}
		if ctx.Err() != nil {
			outcomes[i] = outcome{broken: ctx.Err()}
			<-slots
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			begin := time.Now()
			outcomes[i] = t.run(ctx, o, dir, p)
			p.printf("# %s took %.0f s\n", t.name, time.Since(begin).Seconds())
		})
	}
	wg.Wait()
	return outcomes
}

// report prints the totals, and again what was not ok. It reports whether all went well to
// its end, and whether a test failed.
func report(w io.Writer, tasks []task, outcomes []outcome) (good, failed bool) {
	var sum outcome
	for i, o := range outcomes {
		fmt.Fprintf(w, "\n%s: %d passed, %d failed, %d skipped\n", tasks[i].name, o.passed, o.failed, o.skipped)
		sum.passed += o.passed
		sum.failed += o.failed
		sum.skipped += o.skipped
		if o.broken != nil {
			o.bad = append(o.bad, fmt.Sprintf("not ok: the machine for %s: %v", tasks[i].name, o.broken))
		}
		for _, line := range o.bad {
			fmt.Fprintf(w, "  %s\n", line)
		}
		sum.bad = append(sum.bad, o.bad...)
	}
	fmt.Fprintf(w, "\nin all: %d passed, %d failed, %d skipped\n", sum.passed, sum.failed, sum.skipped)
	return len(sum.bad) == 0 && sum.failed == 0 && sum.passed > 0, sum.failed > 0
}

// spent is the processor time of all machines that have ended.
func spent() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_CHILDREN, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// runSuites runs tests in one machine, and prints every test as it ends.
func (o *options) runSuites(ctx context.Context, dir string, suites []suite, p *printer) outcome {
	var out outcome
	r := results.New(p.w)
	r.Each = func(e results.Event, why string) {
		line := testLine(e, why)
		if e.Action == "fail" {
			out.bad = append(out.bad, line)
		}
		if line != "" {
			fmt.Fprintln(p.w, line)
		}
	}
	j := job{command: []string{"/lab/guest/tests", "list", o.pattern}, dir: dir, user: "root", limit: time.Duration(len(suites)) * suiteLimit}
	take := func(line []byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		r.Line(line)
	}
	// Two suites run at a time, one of them on standard error.
	status, err := o.machine.run(ctx, o.image, j, &lines{take: take}, &lines{take: take})
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Print()
	for _, s := range suites {
		if !r.Ended(s.name()) {
			out.bad = append(out.bad, "not ok: "+s.name()+" did not come to its end")
		}
	}
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	if err == nil && r.Broken() && r.Failed == 0 {
		out.bad = append(out.bad, "not ok: a suite died outside of its tests")
	}
	out.broken, out.passed, out.failed, out.skipped = err, r.Passed, r.Failed, r.Skipped
	return out
}

// testLine is the line of a test, and of a subtest unless it went well.
func testLine(e results.Event, why string) string {
	pkg, who, _ := strings.Cut(e.Package, ":")
	line := fmt.Sprintf("%s as %s: %s", pkg, who, e.Test)
	switch {
	case e.Action == "fail":
		return fmt.Sprintf("not ok %s (%.1f s)", line, e.Elapsed)
	case strings.Contains(e.Test, "/"):
		return ""
	case e.Action == "skip":
		return fmt.Sprintf("ok %s # skipped: %s", line, why)
	}
	return fmt.Sprintf("ok %s (%.1f s)", line, e.Elapsed)
}

// lines calls take for every whole line that is written.
type lines struct {
	take func([]byte)
	part []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.take(l.part[:i])
		l.part = l.part[i+1:]
	}
}
