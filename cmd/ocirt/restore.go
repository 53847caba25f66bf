package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

// A restoration is a restore with its flags.
type restoration struct {
	creation
	options runtime.RestoreOptions
	running running
}

func (a *app) restoreCommand() *cli.Command {
	r := &restoration{creation: creation{app: a}, running: running{app: a, restored: true}}
	o := &r.options
	flags := append(criuFlags(&o.CRIUOptions),
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "directory `DIR` of the bundle (default: the current one)", Destination: &r.bundle},
		&cli.StringFlag{Name: "console-socket", Usage: "`PATH` of a listening socket that receives the terminal's master", Destination: &o.ConsoleSocket},
		&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return when the container runs", Destination: &r.detach},
		&cli.StringFlag{Name: "pid-file", Usage: "write the pid of the container's first process to `FILE`", Destination: &o.PidFile},
		&cli.BoolFlag{Name: "no-subreaper", Usage: "do not adopt the container's orphans", Destination: &r.running.noSubreaper},
		&cli.BoolFlag{Name: "no-pivot", Usage: "accepted for callers of create: CRIU knows how to change the root", Destination: &o.NoPivot},
		&cli.BoolFlag{Name: "no-new-keyring", Usage: "keep the caller's session keyring", Destination: &o.NoNewKeyring},
		&cli.BoolFlag{Name: "keep", Usage: "do not delete the container after its end", Destination: &r.running.keep},
		&cli.BoolFlag{Name: "tcp-close", Usage: "restore open TCP connections as closed", Destination: &o.TCPClose},
		&cli.StringFlag{Name: "lsm-profile", Usage: "another `PROFILE` than the saved one: apparmor:NAME or selinux:LABEL", Destination: &o.LSMProfile},
		&cli.StringFlag{Name: "lsm-mount-context", Usage: "another SELinux `CONTEXT` of mounts than the saved one", Destination: &o.LSMMountContext},
	)
	return &cli.Command{
		Name: "restore", Usage: "make a container of a checkpoint", ArgsUsage: "<container-id>", Flags: flags,
		Description: "CRIU makes the processes that `checkpoint` has saved, in a new container of the bundle.\nImages must come from a checkpoint that is trusted: they say what the processes may do.",
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 1, 1); err != nil {
				return err
			}
			status, err := r.run(ctx, c)
			if err != nil {
				return err
			}
			if status != 0 {
				return exitCode(status)
			}
			return nil
		}),
	}
}

// run returns the exit status of the container's program; 0 if it was only restored.
func (r *restoration) run(ctx context.Context, c invocation) (status int, err error) {
	b, err := r.load()
	if err != nil {
		return 0, err
	}
	if err := r.check(b); err != nil {
		return 0, err
	}
	if err := needsTerminal(b, &r.creation); err != nil {
		return 0, err
	}
	run := &r.running
	if !r.detach {
		if !run.noSubreaper {
			if err := becomeSubreaper(); err != nil {
				return 0, err
			}
		}
		// Half a container must not be left behind.
		run.signals = r.app.holdSignals()
		<-run.signals.ready
		err = run.signals.ended(r.make(run.signals.until(ctx), c, b))
	} else {
		err = r.make(ctx, c, b)
	}
	if err != nil {
		return 0, err
	}
	defer run.container.Close()
	if r.detach {
		return 0, nil
	}
	return run.foreground(ctx)
}

// check refuses what cannot go together.
func (r *restoration) check(b *spec.Bundle) error {
	r.creation.options.ConsoleSocket = r.options.ConsoleSocket
	return r.creation.check(b)
}

// make restores the container.
func (r *restoration) make(ctx context.Context, c invocation, b *spec.Bundle) error {
	rt, err := r.app.openRuntime()
	if err != nil {
		return err
	}
	r.app.hold()
	for _, n := range b.Notes {
		r.app.log.Warn("config.json: " + n.String())
	}
	r.options.Stdio = runtime.Inherit()
	if r.running.container, err = rt.Restore(ctx, c.Args().First(), b, r.options); err != nil {
		return fmt.Errorf("%s restore failed: %w", r.app.name, err)
	}
	r.app.release()
	r.app.log.Debug("restored", "id", c.Args().First(), "pid", r.running.container.Pid())
	return nil
}
