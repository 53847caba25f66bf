package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) startCommand() *cli.Command {
	return &cli.Command{
		Name: "start", Usage: "let a created container run", ArgsUsage: "<container-id>",
		Description: "Returns when the container's program runs, or with the reason why it cannot.",
		Action: a.onContainer(func(ctx context.Context, _ *cli.Command, c *runtime.Container) error {
			begin := time.Now()
			err := c.Start(ctx)
			if err == nil {
				a.log.Debug("started", "id", c.ID(), "pid", c.Pid(), "took", time.Since(begin))
			}
			return err
		}),
	}
}
