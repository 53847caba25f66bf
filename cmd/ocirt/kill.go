package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) killCommand() *cli.Command {
	all := false
	return &cli.Command{
		Name: "kill", Usage: "send a signal to a container", ArgsUsage: "<container-id> [signal]",
		Description: "The signal is a number or a name, with or without SIG; TERM if there is none.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "signal every process of the container", Destination: &all},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := a.arguments(ctx, c, 1, 2); err != nil {
				return err
			}
			sig, err := parseSignal(c.Args().Get(1))
			if err != nil {
				return err
			}
			return a.withContainer(ctx, c, func(ctx context.Context, _ *cli.Command, container *runtime.Container) error {
				return container.Kill(ctx, sig, runtime.KillOptions{All: all})
			})
		},
	}
}
