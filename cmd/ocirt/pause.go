package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) pauseCommand() *cli.Command {
	return &cli.Command{
		Name: "pause", Usage: "stop all processes of a container", ArgsUsage: "<container-id>",
		Description: "They stop where they are until `resume`. What a signal other than KILL does is seen then.",
		Action: a.onContainer(func(ctx context.Context, _ invocation, c *runtime.Container) error {
			return c.Pause(ctx)
		}),
	}
}
