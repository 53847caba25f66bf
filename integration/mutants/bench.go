package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A bench has what all mutants share.
type bench struct {
	options
	root string            // of the module
	dir  string            // for everything that is made
	outs map[string]string // how each test ended with all rules: PASS, SKIP, or what it said

	testing sync.Mutex // one mutant is tested at a time: tests look at the whole machine
	print   sync.Mutex
}

func newBench(root string, o options) (*bench, error) {
	dir, err := os.MkdirTemp("", "ocirt-mutants-")
	if err != nil {
		return nil, err
	}
	return &bench{options: o, root: root, dir: dir, outs: map[string]string{}}, os.Chmod(dir, 0o755)
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// runAll runs the tests with all rules once, and then every mutant.
func (b *bench) runAll(ctx context.Context, all []mutant) (bool, error) {
	begin := time.Now()
	if b.limit > 0 {
		shuffle(all, b.seed)
	}
	if err := b.sound(ctx, all); err != nil {
		return false, err
	}
	fmt.Printf("# with all rules: %d tests in %v\n1..%d\n", len(b.outs), time.Since(begin).Round(time.Second), len(all))
	var count struct{ found, bad, skipped, late int }
	work := make(chan int)
	var wg sync.WaitGroup
	for range max(b.jobs, 1) {
		wg.Go(func() {
			for i := range work {
				late := b.limit > 0 && time.Since(begin) > b.limit
				var v verdict
				if !late {
					v = b.try(ctx, i+1, &all[i])
				}
				b.print.Lock()
				switch {
				case late:
					count.late++
				case v.err != nil:
					count.bad++
				case v.skip != "":
					count.skipped++
				default:
					count.found++
				}
				if !late {
					b.say(i+1, &all[i], v)
				}
				b.print.Unlock()
			}
		})
	}
	for i := range all {
		if ctx.Err() != nil {
			break
		}
		work <- i
	}
	close(work)
	wg.Wait()
	fmt.Printf("# %d mutants: %d found, %d not found, %d skipped, %d not run for lack of time; %v\n",
		len(all), count.found, count.bad, count.skipped, count.late, time.Since(begin).Round(time.Second))
	return count.bad == 0, ctx.Err()
}

// A verdict says what became of a mutant.
type verdict struct {
	err   error
	skip  string
	words []string // of the tests that found it
	took  time.Duration
}

func (b *bench) say(n int, m *mutant, v verdict) {
	what := fmt.Sprintf("%d - %s  %s", n, m.row, m.rule)
	switch {
	case v.err != nil:
		fmt.Printf("not ok %s\n#   %s: %s\n", what, m.at, strings.ReplaceAll(v.err.Error(), "\n", "\n#   "))
		return
	case v.skip != "":
		fmt.Printf("ok %s # SKIP %s\n", what, v.skip)
		return
	}
	names := make([]string, len(m.by))
	for i, t := range m.by {
		names[i] = t.String()
	}
	fmt.Printf("ok %s (%s; %.1f s)\n", what, strings.Join(names, ", "), v.took.Seconds())
	if b.verbose {
		for _, w := range v.words {
			fmt.Printf("#   %s\n", w)
		}
	}
}

// sound builds everything with all rules, and runs all tests that mutants name: a test that
// fails anyhow shows nothing.
func (b *bench) sound(ctx context.Context, all []mutant) error {
	folders := byFolder(all)
	names := slices.Sorted(maps.Keys(folders))
	if slices.ContainsFunc(names, func(f string) bool { return test{folder: f}.binary() }) {
		if err := b.buildProgram(ctx, "", b.program("0")); err != nil {
			return err
		}
		if err := b.buildHelpers(ctx, names); err != nil {
			return err
		}
	}
	for _, folder := range names {
		file := b.testFile("0", folder)
		if err := b.buildTest(ctx, "", folder, file); err != nil {
			return err
		}
		out, _ := b.runTests(ctx, folder, file, b.program("0"), folders[folder])
		for _, t := range folders[folder] {
			end := outcome(out, t.name)
			if end != "PASS" && end != "SKIP" {
				end = "does not pass with all rules:\n" + out
			}
			b.outs[t.String()] = end
		}
	}
	return nil
}

// buildHelpers builds the programs that tests put into containers: those of all tests, and
// those in folders below the tests' own.
func (b *bench) buildHelpers(ctx context.Context, folders []string) error {
	for _, folder := range append([]string{"integration/cmd"}, folders...) {
		if !(test{folder: folder}).binary() {
			continue
		}
		files, err := filepath.Glob(filepath.Join(b.root, folder, "*", "main.go"))
		if err != nil {
			return err
		}
		for _, file := range files {
			name := filepath.Base(filepath.Dir(file))
			err := b.goRun(ctx, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(b.dir, name), "./"+folder+"/"+name)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// try makes a mutant and runs its tests.
func (b *bench) try(ctx context.Context, n int, m *mutant) verdict {
	begin := time.Now()
	files, err := m.apply(b.root)
	if err != nil {
		return verdict{err: err}
	}
	for _, t := range m.by {
		switch end := b.outs[t.String()]; {
		case end == "PASS":
		case end == "SKIP" && m.only != "":
			return verdict{skip: "needs " + m.only}
		case end == "SKIP":
			return verdict{err: fmt.Errorf("%v is skipped here", t)}
		default:
			return verdict{err: fmt.Errorf("%v %s", t, end)}
		}
	}
	dir := filepath.Join(b.dir, fmt.Sprint(n))
	overlay, err := writeOverlay(b.root, dir, files)
	if err != nil {
		return verdict{err: err}
	}
	defer os.RemoveAll(dir)
	name := fmt.Sprint(n)
	tests, err := b.build(ctx, name, overlay, m.by)
	if err != nil {
		return verdict{err: err}
	}
	b.testing.Lock()
	defer b.testing.Unlock()
	var v verdict
	for _, t := range m.by {
		out, err := b.runTests(ctx, t.folder, tests[t.folder], b.program(name), []test{t})
		words, bad := found(out, err, t.name)
		if bad != nil {
			return verdict{err: fmt.Errorf("%v: %w", t, bad)}
		}
		v.words = append(v.words, words)
	}
	v.took = time.Since(begin)
	return v
}

// build builds what the tests need, and says where the tests of each folder are.
func (b *bench) build(ctx context.Context, name, overlay string, by []test) (map[string]string, error) {
	made := map[string]string{}
	program := false
	for _, t := range by {
		if made[t.folder] != "" {
			continue
		}
		if t.binary() {
			made[t.folder] = b.testFile("0", t.folder)
			if !program {
				if err := b.buildProgram(ctx, overlay, b.program(name)); err != nil {
					return nil, err
				}
			}
			program = true
			continue
		}
		made[t.folder] = b.testFile(name, t.folder)
		if err := b.buildTest(ctx, overlay, t.folder, made[t.folder]); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// writeOverlay writes changed files, and the file that tells the compiler of them.
func writeOverlay(root, dir string, files map[string]string) (string, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range files {
		to := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(root, name)] = to
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, data, 0o644)
}
