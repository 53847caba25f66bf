package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

func (a *app) explainCommand() *cli.Command {
	bundle, asJSON := "", false
	return &cli.Command{
		Name: "explain", Usage: "say what would be done to make a container, and why", ArgsUsage: "[bundle]",
		Description: "Prints the steps in their order, each with the property of config.json that asks for\nit. Needs no privileges and starts nothing.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "directory `DIR` of the bundle (default: the current one)", Destination: &bundle},
			&cli.BoolFlag{Name: "json", Usage: "print JSON", Destination: &asJSON},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := a.arguments(ctx, c, 0, 1); err != nil {
				return err
			}
			dir := a.bundleArgument(c, bundle)
			b, err := a.checked(dir)
			if err != nil {
				return err
			}
			rt, err := runtime.New(os.TempDir()) // nothing is kept, so any directory does
			if err != nil {
				return err
			}
			out, err := rt.Explain(idFor(b.Dir), b, asJSON)
			if err != nil {
				return err
			}
			_, err = os.Stdout.Write(out)
			return err
		},
	}
}

// bundleArgument is the bundle that a command is about: an argument, a flag, or here.
func (a *app) bundleArgument(c *cli.Command, flag string) string {
	switch {
	case c.NArg() > 0:
		return c.Args().First()
	case flag != "":
		return flag
	}
	return "."
}

func (a *app) checkOptions() spec.Options {
	return spec.Options{SystemdCgroup: a.systemdCgroup || a.cgroupManager == "systemd"}
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
