package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// A reading is what a command finds on its command line.
type reading struct {
	args  []string
	set   []string
	flags []string
}

func read(root, c *cli.Command, i invocation) reading {
	r := reading{args: append([]string{}, i.Args().Slice()...)}
	if tail := i.Args().Tail(); i.NArg() > 1 && !slices.Equal(tail, r.args[1:]) || i.NArg() < 2 && len(tail) > 0 {
		r.args = append(r.args, fmt.Sprintf("tail %q", tail))
	}
	if i.Args().First() != i.Args().Get(0) || i.NArg() != i.Args().Len() || i.Args().Present() != (i.NArg() > 0) {
		r.args = append(r.args, "differs from itself")
	}
	for _, f := range c.Flags {
		if i.IsSet(f.Names()[0]) {
			r.set = append(r.set, f.Names()[0])
		}
	}
	for _, f := range append(slices.Clone(root.Flags), c.Flags...) {
		if d := destination(f); d != nil {
			r.flags = append(r.flags, fmt.Sprintf("%s=%q", f.Names()[0], d))
		}
	}
	return r
}

func destination(f cli.Flag) any {
	switch f := f.(type) {
	case *cli.BoolFlag:
		if f.Destination != nil {
			return fmt.Sprint(*f.Destination)
		}
	case *cli.StringFlag:
		if f.Destination != nil {
			return *f.Destination
		}
	case *cli.IntFlag:
		if f.Destination != nil {
			return fmt.Sprint(*f.Destination)
		}
	case *cli.StringSliceFlag:
		if f.Destination != nil {
			return *f.Destination
		}
	}
	return nil
}

// reader makes a command that only reads its line, as dispatch makes it.
func reader(t *testing.T, m maker) (a *app, root, c *cli.Command) {
	t.Helper()
	a = newApp([]string{"ocirt"})
	root, c = a.rootCommand(true), m.make(a)
	root.Before, a.prepared = nil, true
	root.Writer, root.ErrWriter = discard{}, discard{}
	c.OnUsageError = func(_ context.Context, _ *cli.Command, err error, _ bool) error { return err }
	root.Commands = []*cli.Command{c}
	return a, root, c
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func quickReading(t *testing.T, m maker, args []string) (r reading, done bool) {
	t.Helper()
	a, root, c := reader(t, m)
	a.do = func(_ context.Context, i invocation) error { r = read(root, c, i); return nil }
	done, err := a.quickly(context.Background(), root, c, args)
	if done && err != nil {
		t.Errorf("%q: %v", args, err)
	}
	if done && a.rootSet != slices.ContainsFunc(args, func(s string) bool { return s == "--root" || strings.HasPrefix(s, "--root=") }) {
		t.Errorf("%q: --root is set: %v", args, a.rootSet)
	}
	return r, done
}

func libraryReading(t *testing.T, m maker, args []string) (r reading, err error) {
	t.Helper()
	_, root, c := reader(t, m)
	called := false
	c.Action = func(_ context.Context, i *cli.Command) error { called, r = true, read(root, c, i); return nil }
	if err = root.Run(context.Background(), args); err == nil && !called {
		err = fmt.Errorf("no action")
	}
	return r, err
}

// What is read quickly is what the library reads.
func TestQuickly(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, m := range makers() {
		quick := 0
		const lines = 1500
		for range lines {
			args := randomLine(random, m)
			got, done := quickReading(t, m, args)
			if !done {
				continue
			}
			quick++
			want, err := libraryReading(t, m, args)
			if err != nil && slices.Contains(got.args, "") {
				continue // behind an empty argument the library looks for flags again
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%q\ngot  %q\nwant %q, %v", args, got, want, err)
			}
		}
		if quick < lines/20 && m.name != "seccomp" {
			t.Errorf("%s: %d of %d lines are read quickly", m.name, quick, lines)
		}
	}
}

// randomLine is mostly sense.
func randomLine(random *rand.Rand, m maker) []string {
	a := newApp([]string{"ocirt"})
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	value := func() string {
		return pick("", "a", "/x/y", "a=b", "-", "-1", "0", "7", "007", "text", " a", "a,b", "--root", "1e3", "help", "é")
	}
	line := []string{"ocirt"}
	some := func(flags []cli.Flag, most int) {
		for range random.IntN(most + 1) {
			f := flags[random.IntN(len(flags))]
			name := f.Names()[random.IntN(len(f.Names()))]
			dashes := "--"
			if len(name) == 1 || random.IntN(20) == 0 {
				dashes = "-"
			}
			_, isBool := f.(*cli.BoolFlag)
			_, isInt := f.(*cli.IntFlag)
			v := value()
			if isInt && random.IntN(4) > 0 {
				v = "3"
			}
			switch n := random.IntN(12); {
			case isBool && n > 1, n == 0:
				line = append(line, dashes+name)
			case n < 5:
				line = append(line, dashes+name+"="+v)
			default:
				line = append(line, dashes+name, v)
			}
		}
	}
	some(a.globalFlags(), 2)
	line = append(line, m.name)
	if flags := m.make(a).Flags; len(flags) > 0 {
		some(flags, 3)
	}
	for range random.IntN(4) {
		line = append(line, pick("c1", "KILL", "9", "x.y", "sh", "-c", "--", "-x", "--all", "h", "", "a b"))
	}
	return line
}

// What engines type is read quickly.
func TestQuicklyForEngines(t *testing.T) {
	for _, line := range []string{
		"--root /run/r --log /l --log-format json --systemd-cgroup create --bundle /b --pid-file /p c1",
		"--root /run/r --log /l --log-format json create --no-pivot --no-new-keyring --console-socket /s --bundle /b c1",
		"--root /run/r --log /l --log-format json start c1",
		"--root /run/r --log /l --log-format json kill --all c1 9",
		"--root /run/r --log /l --log-format json kill c1 15",
		"--root /run/r --log /l --log-format json delete --force c1",
		"--root /run/r --log /l --log-format json state c1",
		"--root /run/r --log /l --log-format json exec --process /f --detach --pid-file /p c1",
		"--root=/run/r --log-format=json --log=/l create --bundle /b --pid-file /p --preserve-fds 1 c1",
		"--root=/run/r delete c1",
		"exec -t -e A=b --cwd / c1 sh -c true",
		"run bundle",
		"exec c1 sh -c true",
		"list -q",
	} {
		args := append([]string{"ocirt"}, strings.Fields(line)...)
		name := commandName(args[1:])
		i := slices.IndexFunc(makers(), func(m maker) bool { return m.name == name })
		if i < 0 {
			t.Fatalf("%s: no command", line)
		}
		if _, done := quickReading(t, makers()[i], args); !done {
			t.Errorf("%s: needs the library", line)
		}
	}
}

// An empty argument is one like any other.
func TestQuicklyEmptyArgument(t *testing.T) {
	i := slices.IndexFunc(makers(), func(m maker) bool { return m.name == "exec" })
	args := []string{"c1", "grep", "", "-x"}
	got, done := quickReading(t, makers()[i], append([]string{"ocirt", "exec"}, args...))
	if !done || !slices.Equal(got.args, args) {
		t.Errorf("%q, %v", got.args, done)
	}
}
