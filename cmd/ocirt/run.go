package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

func (a *app) runCommand() *cli.Command {
	cr := &creation{app: a}
	r := &running{app: a}
	flags := append(cr.flags(&r.noSubreaper),
		&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return when the container runs", Destination: &cr.detach},
		&cli.BoolFlag{Name: "keep", Usage: "do not delete the container after its end", Destination: &r.keep},
	)
	return &cli.Command{
		Name: "run", Usage: "create and start a container, and wait for its end",
		ArgsUsage: "<container-id> | <bundle> [container-id]", Flags: flags,
		Description: "The exit status is that of the container's program, or 128 plus the number of the\nsignal that ended it.",
		Action: a.act(func(ctx context.Context, c invocation) error {
			status, err := r.take(ctx, cr, c)
			if err == nil && status != 0 {
				return exitCode(status)
			}
			return err
		}),
	}
}

// take returns the exit status of the container's program; 0 if it was only started.
func (r *running) take(ctx context.Context, cr *creation, c invocation) (status int, err error) {
	if runtime.Attended() {
		status, err = r.takeOver(ctx)
	} else {
		id, wrong := cr.runArguments(ctx, c)
		if wrong != nil {
			return 0, wrong
		}
		status, err = r.run(ctx, cr, id)
	}
	if err != nil {
		return 0, fmt.Errorf("%s run failed: %w", cr.app.name, err)
	}
	return status, nil
}

// runArguments tells the two forms apart: `run ID`, and `run BUNDLE [ID]` for people. In
// the second one the id is made up if there is none.
func (cr *creation) runArguments(ctx context.Context, c invocation) (id string, err error) {
	first := c.Args().First()
	if c.NArg() == 0 || c.IsSet("bundle") || hasConfig(".") || !hasConfig(first) {
		if err := cr.app.arguments(ctx, c, 1, 1); err != nil {
			return "", err
		}
		cr.app.log.Debug("run ID", "id", first)
		return first, nil
	}
	if err := cr.app.arguments(ctx, c, 1, 2); err != nil {
		return "", err
	}
	cr.bundle, id = first, c.Args().Get(1)
	if c.NArg() == 1 {
		id = madeUpID()
	}
	cr.app.log.Debug("run BUNDLE", "bundle", first, "id", id)
	return id, nil
}

// hasConfig reports whether dir is a bundle.
func hasConfig(dir string) bool {
	if dir == "" {
		return false
	}
	_, err := os.Lstat(filepath.Join(dir, spec.ConfigName))
	return err == nil
}

// A running is a container that this process runs.
type running struct {
	app         *app
	keep        bool
	noSubreaper bool
	restored    bool // it runs already
	container   *runtime.Container
	terminal    *terminal
	signals     *signals
}

// run returns the exit status of the container's program; 0 if it was only started.
func (r *running) run(ctx context.Context, cr *creation, id string) (status int, err error) {
	b, err := cr.load()
	if err != nil {
		return 0, err
	}
	if err := needsTerminal(b, cr); err != nil {
		return 0, err
	}
	runtime.Ready(b)
	if !cr.detach {
		r.signals = r.app.holdSignals()
		cr.ready = r.signals.ready
	}
	if !cr.detach && !r.noSubreaper {
		if err := becomeSubreaper(); err != nil {
			return 0, err
		}
	}
	cr.options.Hold = true
	if cr.detach {
		r.container, err = cr.makeAlone(ctx, id, b)
	} else {
		cr.options.Attend = r.attendOptions(b)
		r.container, err = cr.make(r.signals.until(ctx), id, b)
		err = r.signals.ended(err)
	}
	if err != nil {
		return 0, started(err)
	}
	defer r.container.Close()
	if cr.detach {
		return 0, r.app.startAlone(ctx, startOptions(), r.start)
	}
	return r.foreground(ctx)
}

// needsTerminal refuses a terminal in the foreground that nobody sits at.
func needsTerminal(b *spec.Bundle, cr *creation) error {
	if cr.detach || cr.options.ConsoleSocket != "" || b.Spec.Process == nil || !b.Spec.Process.Terminal {
		return nil
	}
	return mustBeTerminal()
}

// start starts the container; if it cannot be started nothing is left of it.
func (r *running) start(ctx context.Context, o runtime.StartOptions) error {
	if r.restored {
		return nil
	}
	err := r.container.Start(ctx, o)
	if err == nil {
		r.app.log.Debug("started", "id", r.container.ID(), "pid", r.container.Pid())
		return nil
	}
	return r.notStarted(ctx, err)
}

// notStarted removes a container that could not be started, and returns the error that
// callers expect.
func (r *running) notStarted(ctx context.Context, err error) error {
	return errors.Join(startError(err), r.app.remove(context.WithoutCancel(ctx), r.container))
}

// startError puts the words before an error of Start that callers expect of run.
func startError(err error) error {
	var state *runtime.StateError
	var step *runtime.StepError
	switch {
	case errors.As(err, &state):
		return err
	case errors.As(err, &step):
		return started(err)
	}
	return fmt.Errorf("unable to start container process: %w", err)
}
