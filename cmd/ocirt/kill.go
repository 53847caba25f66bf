package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) killCommand() *cli.Command {
	all, regex := false, false
	return &cli.Command{
		Name: "kill", Usage: "send a signal to a container", ArgsUsage: "<container-id> [signal]",
		Description: "The signal is a number or a name, with or without SIG; TERM if there is none. A paused\ncontainer sees it when it is resumed, but for KILL, which ends it at once.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "signal every process of the container", Destination: &all},
			&cli.BoolFlag{Name: "regex", Aliases: []string{"r"}, Usage: "the id is a regular expression: signal all running containers that match", Destination: &regex},
		},
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 1, 2); err != nil {
				return err
			}
			sig, err := parseSignal(c.Args().Get(1))
			if err != nil {
				return err
			}
			o := runtime.KillOptions{All: all}
			if regex {
				return a.each(c, func(rt *runtime.Runtime, id string) error {
					container, err := rt.Container(id)
					if err != nil {
						return err
					}
					defer container.Close()
					var state *runtime.StateError
					if err := container.Kill(ctx, sig, o); !errors.As(err, &state) {
						return err
					}
					return nil // it does not run, and nobody has named it
				})
			}
			return a.withContainer(ctx, c, func(ctx context.Context, _ invocation, container *runtime.Container) error {
				return container.Kill(ctx, sig, o)
			})
		}),
	}
}
