package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) resumeCommand() *cli.Command {
	return &cli.Command{
		Name: "resume", Usage: "let the processes of a paused container go on", ArgsUsage: "<container-id>",
		Description: "Signals that came meanwhile are seen now.",
		Action: a.onContainer(func(ctx context.Context, _ invocation, c *runtime.Container) error {
			return c.Resume(ctx)
		}),
	}
}
