package main

import (
	"context"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) startCommand() *cli.Command {
	return &cli.Command{
		Name: "start", Usage: "let a created container run", ArgsUsage: "<container-id>",
		Description: "Returns when the container's program runs, or with the reason why it cannot. If\n$NOTIFY_SOCKET is set it waits until the program has said that it is ready.",
		Action: a.onContainer(func(ctx context.Context, _ invocation, c *runtime.Container) error {
			begin := time.Now()
			err := a.startAlone(ctx, startOptions(), c.Start)
			if err == nil {
				a.log.Debug("started", "id", c.ID(), "pid", c.Pid(), "took", time.Since(begin))
			}
			return err
		}),
	}
}

// startOptions are what the environment says: a service manager names its socket there.
func startOptions() runtime.StartOptions {
	return runtime.StartOptions{NotifySocket: os.Getenv("NOTIFY_SOCKET")}
}
