package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) deleteCommand() *cli.Command {
	force, regex := false, false
	return &cli.Command{
		Name: "delete", Usage: "remove a container that has stopped", ArgsUsage: "<container-id>",
		Description: "One that was only created is removed as well; one that runs needs --force.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "kill it first if it runs; that there is none is no error", Destination: &force},
			&cli.BoolFlag{Name: "regex", Aliases: []string{"r"}, Usage: "the id is a regular expression: remove all containers that match", Destination: &regex},
		},
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 1, 1); err != nil {
				return err
			}
			if regex {
				return a.each(c, func(rt *runtime.Runtime, id string) error { return deleteOne(ctx, rt, id, force) })
			}
			rt, err := a.openRuntime()
			if err != nil {
				return err
			}
			return deleteOne(ctx, rt, c.Args().First(), force)
		}),
	}
}

func deleteOne(ctx context.Context, rt *runtime.Runtime, id string, force bool) error {
	if force {
		return rt.ForceDelete(ctx, id)
	}
	container, err := rt.Container(id)
	if err != nil {
		return err
	}
	defer container.Close()
	return container.Delete(ctx, false)
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
