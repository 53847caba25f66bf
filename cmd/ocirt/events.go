package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) eventsCommand() *cli.Command {
	interval, stats := 5*time.Second, false
	return &cli.Command{
		Name: "events", Usage: "print what happens to a container, and what it uses", ArgsUsage: "<container-id>",
		Description: "One JSON object a line: a sample of the statistics every interval, and a notice\nwhenever the container runs out of memory, until the container ends.",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Value: interval, Usage: "time between two samples, such as 500ms", Destination: &interval},
			&cli.BoolFlag{Name: "stats", Usage: "print one sample and end", Destination: &stats},
		},
		Action: a.onContainer(func(ctx context.Context, _ invocation, c *runtime.Container) error {
			if interval <= 0 {
				return fmt.Errorf("--interval: must be positive, found %v", interval)
			}
			if stats {
				s, err := c.Stats()
				if err != nil {
					return err
				}
				return printEvent(runtime.Event{Type: runtime.EventStats, ID: c.ID(), Data: s})
			}
			// To be told to end is the usual end of this command.
			ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
			defer stop()
			err := c.Events(ctx, interval, printEvent)
			if errors.Is(err, unix.EPIPE) {
				return nil // nobody reads any more
			}
			return err
		}),
	}
}

// printEvent writes a line with one call: several programs may write to the same file.
func printEvent(e runtime.Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("cannot print an event: %w", err)
	}
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}
