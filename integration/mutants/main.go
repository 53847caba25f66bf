package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	ok, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

type options struct {
	jobs    int
	limit   time.Duration
	seed    uint64
	verbose bool
}

func run(ctx context.Context) (bool, error) {
	var o options
	flag.IntVar(&o.jobs, "j", runtime.NumCPU(), "compile `N` at a time; one is tested at a time")
	flag.DurationVar(&o.limit, "limit", 0, "begin none after this `time`; they are run in a random order then")
	flag.Uint64Var(&o.seed, "seed", 0, "the `number` of the random order")
	flag.BoolVar(&o.verbose, "v", false, "show the first words of the tests that failed")
	list := flag.Bool("list", false, "list the mutants, and run none")
	flag.Parse()
	root, err := moduleRoot()
	if err != nil {
		return false, err
	}
	all, err := readLists(filepath.Join(root, "integration", "mutants"))
	if err != nil {
		return false, err
	}
	all = chosen(all, flag.Args())
	if len(all) == 0 {
		return false, fmt.Errorf("no mutant has a row that begins with %q", flag.Args())
	}
	if *list {
		for _, m := range all {
			fmt.Printf("%-16s %s\n", m.row, m.rule)
		}
		return true, nil
	}
	b, err := newBench(root, o)
	if err != nil {
		return false, err
	}
	defer b.close()
	return b.runAll(ctx, all)
}

// chosen are the mutants whose row begins with one of the words.
func chosen(all []mutant, words []string) []mutant {
	if len(words) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(m mutant) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(m.row, w) })
	})
}

// shuffle puts the mutants into a random order, so that a run with a limit of time is a
// sample of all.
func shuffle(all []mutant, seed uint64) {
	if seed == 0 {
		seed = uint64(time.Now().Unix())
	}
	fmt.Printf("# in a random order: -seed %d\n", seed)
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // an order, not a secret
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
}

// byFolder are the tests of all mutants, once each.
func byFolder(all []mutant) map[string][]test {
	m := map[string][]test{}
	for _, mutant := range all {
		for _, t := range mutant.by {
			if !slices.Contains(m[t.folder], t) {
				m[t.folder] = append(m[t.folder], t)
			}
		}
	}
	for _, list := range m {
		slices.SortFunc(list, func(a, b test) int { return cmp.Compare(a.name, b.name) })
	}
	return m
}

// moduleRoot is the folder of go.mod, from here upwards.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == "/" {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}
