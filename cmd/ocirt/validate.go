package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

func (a *app) validateCommand() *cli.Command {
	bundle, asJSON, strict := "", false, false
	return &cli.Command{
		Name: "validate", Usage: "say everything that is wrong with a bundle", ArgsUsage: "[bundle]",
		Description: "The exit status is 1 if something is, and with --strict also if there are warnings.\nNeeds no privileges and starts nothing.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "directory `DIR` of the bundle (default: the current one)", Destination: &bundle},
			&cli.BoolFlag{Name: "json", Usage: "print JSON", Destination: &asJSON},
			&cli.BoolFlag{Name: "strict", Usage: "warnings are errors, and so are properties that nobody knows", Destination: &strict},
		},
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 0, 1); err != nil {
				return err
			}
			options := a.checkOptions()
			options.Strict = strict
			dir, err := a.bundleArgument(c, bundle)
			if err != nil {
				return err
			}
			b, problems := spec.Check(dir, options)
			if len(problems.Errors()) == 0 {
				problems = append(problems, runtime.SeccompWarnings(b)...)
			}
			for i := range problems {
				problems[i].Warning = problems[i].Warning && !strict
			}
			if err := printProblems(problems, asJSON); err != nil {
				return err
			}
			if problems.Err() != nil {
				return exitCode(1)
			}
			return nil
		}),
	}
}

// printProblems prints a line for each problem, with the file's name: they are output
// here, not errors.
func printProblems(problems spec.Problems, asJSON bool) error {
	if asJSON {
		out, err := problems.JSON()
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(append(out, '\n'))
		return err
	}
	var b strings.Builder
	for _, p := range problems {
		file := p.File
		if file == "" {
			file = spec.ConfigName
		}
		kind := "error"
		if p.Warning {
			kind = "warning"
		}
		fmt.Fprintf(&b, "%s: %s: %s\n", file, kind, p)
	}
	if len(problems) == 0 {
		b.WriteString("no problems\n")
	}
	_, err := os.Stdout.WriteString(printable(b.String()))
	return err
}
