package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"
)

// A scenario is one thing to measure. Its answer holds one list of figures for each
// contender, in their order; an empty list where one of them could not.
type scenario struct {
	name, about, unit string
	run               func(context.Context, *lab, options) ([][]float64, error)
}

func scenarios() []scenario {
	return []scenario{
		{"run", "run a program that ends at once, back to back", "µs", measureRun},
		{"run-docker-profile", "run with Docker's default seccomp profile", "µs", measureDocker},
		{"idle", "run after a pause of 150 ms: what a single command pays", "µs", measureIdle},
		{"lifecycle", "create, start and delete --force", "µs", measureLifecycle},
		{"exec", "exec of a program that ends at once", "µs", measureExec},
		{"state", "state of a running container", "µs", measureState},
		{"crowd", "run while many created containers exist", "µs", measureCrowd},
		{"rss", "memory of the process that waits between create and start", "KiB", measureRSS},
	}
}

func choose(names string) ([]scenario, error) {
	all := scenarios()
	if names == "" {
		return all, nil
	}
	var list []scenario
next:
	for name := range strings.SplitSeq(names, ",") {
		for _, s := range all {
			if s.name == name {
				list = append(list, s)
				continue next
			}
		}
		return nil, fmt.Errorf("cannot measure unknown scenario %q", name)
	}
	return list, nil
}

// interleave calls once for every contender, warm times for nothing and then n times for
// its figures. A contender that fails is left out from then on. Every round has an order
// of its own, because what a runtime leaves to the kernel (namespaces to take apart, a
// lock in its slow or fast mode) is felt by the next: in a fixed order the figures of
// each would depend on who comes before it.
func interleave(ctx context.Context, l *lab, n, warm int, pause time.Duration, once func(i int, c contender) (time.Duration, error)) ([][]float64, error) {
	rows := make([][]float64, len(l.contenders))
	out := make([]bool, len(l.contenders))
	var failed error
	order := rand.New(rand.NewPCG(1, uint64(n))) // the same every time
	for round := range n + warm {
		for _, i := range order.Perm(len(l.contenders)) {
			c := l.contenders[i]
			if out[i] {
				continue
			}
			if err := ctx.Err(); err != nil {
				return rows, err
			}
			time.Sleep(pause)
			took, err := once(i, c)
			if err != nil {
				out[i], rows[i], failed = true, nil, err
				continue
			}
			if round >= warm {
				rows[i] = append(rows[i], float64(took.Nanoseconds())/1e3)
			}
		}
	}
	return rows, failed
}

func runOnce(l *lab) func(int, contender) (time.Duration, error) {
	return runBundle(l, l.bundleTrue)
}

func runBundle(l *lab, bundle string) func(int, contender) (time.Duration, error) {
	return func(_ int, c contender) (time.Duration, error) {
		return l.spawn(c, "run", "--bundle", bundle, l.newID())
	}
}

// measureDocker is measureRun with Docker's default seccomp profile.
func measureDocker(ctx context.Context, l *lab, o options) ([][]float64, error) {
	return interleave(ctx, l, o.runs, 3, 0, runBundle(l, l.bundleDocker))
}

func measureRun(ctx context.Context, l *lab, o options) ([][]float64, error) {
	return interleave(ctx, l, o.runs, 3, 0, runOnce(l))
}

func measureIdle(ctx context.Context, l *lab, o options) ([][]float64, error) {
	return interleave(ctx, l, max(10, o.runs/4), 1, 150*time.Millisecond, runOnce(l))
}

func measureLifecycle(ctx context.Context, l *lab, o options) ([][]float64, error) {
	return interleave(ctx, l, o.runs, 3, 0, func(_ int, c contender) (time.Duration, error) {
		id := l.newID()
		// Remembered before it exists: an error half way must not leave it behind.
		l.open = append(l.open, opened{c, id})
		var sum time.Duration
		for _, args := range [][]string{
			{"create", "--bundle", l.bundleWait, id}, {"start", id}, {"delete", "--force", id},
		} {
			took, err := l.spawn(c, args...)
			if err != nil {
				return 0, err
			}
			sum += took
		}
		l.open = l.open[:len(l.open)-1]
		return sum, nil
	})
}

func measureExec(ctx context.Context, l *lab, o options) ([][]float64, error) {
	return onRunning(ctx, l, o, func(id string) []string { return []string{"exec", id, "/bin/true"} })
}

func measureState(ctx context.Context, l *lab, o options) ([][]float64, error) {
	return onRunning(ctx, l, o, func(id string) []string { return []string{"state", id} })
}

// onRunning measures a command on one running container of each contender.
func onRunning(ctx context.Context, l *lab, o options, args func(id string) []string) (_ [][]float64, err error) {
	defer func() {
		if cerr := l.remove(); err == nil {
			err = cerr
		}
	}()
	ids := make([]string, len(l.contenders))
	return interleave(ctx, l, o.runs, 3, 0, func(i int, c contender) (time.Duration, error) {
		if ids[i] == "" {
			id, err := l.create(c)
			if err != nil {
				return 0, err
			}
			if _, err := l.spawn(c, "start", id); err != nil {
				return 0, err
			}
			ids[i] = id
		}
		return l.spawn(c, args(ids[i])...)
	})
}

// measureCrowd is not interleaved: each contender faces a crowd of its own.
func measureCrowd(ctx context.Context, l *lab, o options) ([][]float64, error) {
	rows := make([][]float64, len(l.contenders))
	var failed error
	for i, c := range l.contenders {
		row, err := crowdOf(ctx, l, o, c)
		if err != nil {
			failed = err
			continue
		}
		rows[i] = row
	}
	return rows, failed
}

func crowdOf(ctx context.Context, l *lab, o options, c contender) (row []float64, err error) {
	defer func() {
		if cerr := l.remove(); err == nil {
			err = cerr
		}
	}()
	for range o.crowd {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if _, err := l.create(c); err != nil {
			return nil, err
		}
	}
	for round := range max(20, o.runs/2) + 3 {
		took, err := runOnce(l)(0, c)
		if err != nil {
			return nil, err
		}
		if round >= 3 {
			row = append(row, float64(took.Nanoseconds())/1e3)
		}
	}
	return row, nil
}

func measureRSS(_ context.Context, l *lab, _ options) ([][]float64, error) {
	rows := make([][]float64, len(l.contenders))
	var failed error
	for i, c := range l.contenders {
		kib, err := waitingRSS(l, c)
		if err != nil {
			failed = err
			continue
		}
		rows[i] = []float64{kib}
	}
	if err := l.remove(); failed == nil {
		failed = err
	}
	return rows, failed
}

func waitingRSS(l *lab, c contender) (float64, error) {
	id, err := l.create(c)
	if err != nil {
		return 0, err
	}
	pid, err := l.pid(c, id)
	if err != nil {
		return 0, err
	}
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0, fmt.Errorf("cannot read the memory of %s's init: %w", c.name, err)
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("Rss:")); ok {
			return strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(string(rest)), " kB"), 64)
		}
	}
	return 0, fmt.Errorf("cannot find Rss in smaps_rollup of %s's init", c.name)
}
