package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) deleteCommand() *cli.Command {
	force := false
	return &cli.Command{
		Name: "delete", Usage: "remove a container that has stopped", ArgsUsage: "<container-id>",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "kill it first if it runs; that there is none is no error", Destination: &force},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := a.arguments(ctx, c, 1, 1); err != nil {
				return err
			}
			if !force {
				return a.withContainer(ctx, c, func(ctx context.Context, _ *cli.Command, container *runtime.Container) error {
					return container.Delete(ctx, false)
				})
			}
			rt, err := a.openRuntime(c)
			if err != nil {
				return err
			}
			return rt.ForceDelete(ctx, c.Args().First())
		},
	}
}

// remove deletes a container of ours after its end, or because it could not be started.
func (a *app) remove(ctx context.Context, c *runtime.Container) error {
	err := c.Delete(ctx, true)
	if errors.Is(err, runtime.ErrNotFound) {
		return nil // somebody else was quicker
	}
	if err != nil {
		return fmt.Errorf("cannot delete container %s: %w", c.ID(), err)
	}
	a.log.Debug("deleted", "id", c.ID())
	return nil
}
