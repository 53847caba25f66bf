package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) listCommand() *cli.Command {
	format, quiet := "", false
	return &cli.Command{
		Name: "list", Usage: "list containers",
		Description: "They are those of one state directory; see the global flag --root.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "table or json", Destination: &format},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print ids only", Destination: &quiet},
		},
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 0, 0); err != nil {
				return err
			}
			if format != "table" && format != "json" {
				return fmt.Errorf("invalid format option: %q", format)
			}
			states, err := a.states()
			if err != nil {
				return err
			}
			switch {
			case quiet:
				return printIDs(states)
			case format == "json":
				return printStates(states)
			}
			return printTable(states)
		}),
	}
}

// states lists the containers. That there is no state directory yet is an error only if
// the user named it.
func (a *app) states() ([]runtime.State, error) {
	rt, err := a.openRuntime()
	if err != nil {
		return nil, err
	}
	states, err := rt.List()
	if errors.Is(err, unix.ENOENT) && !a.rootSet {
		return nil, nil
	}
	return states, err
}

func printIDs(states []runtime.State) error {
	var b []byte
	for _, s := range states {
		b = append(append(b, s.ID...), '\n')
	}
	_, err := os.Stdout.Write(b)
	return err
}

func printStates(states []runtime.State) error {
	b := []byte{'['}
	for i := range states {
		if i > 0 {
			b = append(b, ',')
		}
		b = stateJSON(b, &states[i], false)
	}
	_, err := os.Stdout.Write(append(b, "]\n"...))
	return err
}

func printTable(states []runtime.State) error {
	w := tabwriter.NewWriter(os.Stdout, 12, 1, 3, ' ', 0)
	fmt.Fprint(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, s := range states {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", printable(s.ID), s.Pid, s.Status, printable(s.Bundle), s.Created.Format(time.RFC3339Nano), s.Owner)
	}
	return w.Flush()
}
