package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

func (a *app) explainCommand() *cli.Command {
	bundle, asJSON, calls := "", false, false
	return &cli.Command{
		Name: "explain", Usage: "say what would be done to make a container, and why", ArgsUsage: "[bundle]",
		Description: "Prints the steps in their order, each with the property of config.json that asks for\nit. Needs no privileges and starts nothing. With --calls it prints what the first process\ndoes, call by call, from its birth to execve.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "directory `DIR` of the bundle (default: the current one)", Destination: &bundle},
			&cli.BoolFlag{Name: "json", Usage: "print JSON", Destination: &asJSON},
			&cli.BoolFlag{Name: "calls", Usage: "print the system calls of the container's first process", Destination: &calls},
		},
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 0, 1); err != nil {
				return err
			}
			if calls && asJSON {
				return errors.New("--calls cannot be printed as JSON")
			}
			dir, err := a.bundleArgument(c, bundle)
			if err != nil {
				return err
			}
			b, err := a.checked(dir)
			if err != nil {
				return err
			}
			rt, err := runtime.New(os.TempDir(), runtime.WithCgroupManager(a.manager())) // nothing is kept, so any directory does
			if err != nil {
				return err
			}
			var out []byte
			if calls {
				out, err = rt.ExplainCalls(idFor(b.Dir), b)
			} else {
				out, err = rt.Explain(idFor(b.Dir), b, asJSON)
			}
			if err != nil {
				return err
			}
			_, err = os.Stdout.Write(out)
			return err
		}),
	}
}

// bundleArgument is the bundle that a command is about: an argument, a flag, or here.
func (a *app) bundleArgument(c invocation, flag string) (dir string, err error) {
	dir = "."
	switch {
	case c.NArg() > 0:
		dir = c.Args().First()
	case flag != "":
		dir = flag
	}
	if err := isFolder(dir); err != nil {
		return "", fmt.Errorf("bundle: %w", err)
	}
	return dir, nil
}

func (a *app) checkOptions() spec.Options {
	return spec.Options{SystemdCgroup: a.manager() == runtime.SystemdCgroups}
}

// checked is a bundle without mistakes.
func (a *app) checked(dir string) (*spec.Bundle, error) {
	b, problems := spec.Check(dir, a.checkOptions())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	for _, w := range problems.Warnings() {
		a.log.Warn(w.String())
	}
	return b, nil
}

// idFor makes up the id of a container that will not exist.
func idFor(dir string) string {
	if id := filepath.Base(dir); spec.CheckID(id) == nil {
		return id
	}
	return "container"
}
