package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/cmd/ocirt/internal/early"
	"github.com/ocirt/ocirt/runtime"
)

// An app is one call of the program: its global flags, and what follows from them.
type app struct {
	name string // ocirt, or runc if it is called so

	root          string
	logFile       string
	logFormat     string
	logLevel      string
	debug         bool
	systemdCgroup bool
	cgroupManager string
	rootless      string

	log       *slog.Logger
	records   *records
	logOpened bool
	inherited inherited

	rootSet  bool // --root was given
	prepared bool
	do       func(context.Context, invocation) error // of the command that was made last
}

func newApp(args []string) *app {
	a := &app{name: "ocirt"}
	if len(args) > 0 && filepath.Base(args[0]) == "runc" {
		a.name = "runc"
	}
	a.records = &records{stderr: standardError{}}
	a.log = slog.New(a.records)
	return a
}

// A maker makes one command: only the one that is called gets made, because making all of
// them takes longer than most commands do.
type maker struct {
	name string
	make func(*app) *cli.Command
}

func makers() []maker {
	return []maker{
		{"checkpoint", (*app).checkpointCommand},
		{"create", (*app).createCommand},
		{"delete", (*app).deleteCommand},
		{"events", (*app).eventsCommand},
		{"exec", (*app).execCommand},
		{"explain", (*app).explainCommand},
		{"features", (*app).featuresCommand},
		{"kill", (*app).killCommand},
		{"list", (*app).listCommand},
		{"pause", (*app).pauseCommand},
		{"ps", (*app).psCommand},
		{"restore", (*app).restoreCommand},
		{"resume", (*app).resumeCommand},
		{"run", (*app).runCommand},
		{"seccomp", (*app).seccompCommand},
		{"spec", (*app).specCommand},
		{"start", (*app).startCommand},
		{"state", (*app).stateCommand},
		{"update", (*app).updateCommand},
		{"validate", (*app).validateCommand},
	}
}

// dispatch finds the command and runs it.
func (a *app) dispatch(args []string) error {
	if len(args) == 0 {
		args = []string{a.name} // execve allows it
	}
	name := commandName(args[1:])
	if (name == "run" || name == "create") && !runtime.Attended() {
		runtime.Ready(nil)
	}
	all := makers()
	i := slices.IndexFunc(all, func(m maker) bool { return m.name == name })
	if i >= 0 {
		all = all[i : i+1]
	}
	root := a.rootCommand(i >= 0)
	for _, m := range all {
		c := m.make(a)
		if i >= 0 {
			if done, err := a.quickly(context.Background(), root, c, args); done {
				return err
			}
		}
		c.OnUsageError = a.usageError
		root.Commands = append(root.Commands, c)
	}
	if i < 0 && name != "" && name != "help" && name != "h" {
		root.Commands = append(root.Commands, unknownCommand(name))
	}
	return root.Run(context.Background(), args)
}

// unknownCommand stands for one that there is not, whatever its flags: that it is missing is
// the mistake, not the flags.
func unknownCommand(name string) *cli.Command {
	return &cli.Command{
		Name: name, Hidden: true, HideHelp: true, SkipFlagParsing: true,
		Action: func(context.Context, *cli.Command) error { return cli.Exit("No help topic for '"+name+"'", 3) },
	}
}

// commandName is the command; empty where the line is not obvious, and all commands are made.
func commandName(args []string) string {
	if rest := early.Command(args); len(rest) > 0 {
		return rest[0]
	}
	return ""
}

func (a *app) rootCommand(one bool) *cli.Command {
	cli.VersionPrinter = func(*cli.Command) { a.printVersion() }
	return &cli.Command{
		Name:        a.name,
		Usage:       "Open Container Initiative runtime",
		Description: rootDescription(a.name),
		Version:     version,
		Flags:       a.globalFlags(),
		Before: func(ctx context.Context, c *cli.Command) (context.Context, error) {
			a.rootSet = c.IsSet("root")
			return ctx, a.prepare()
		},
		OnUsageError:              a.usageError,
		ExitErrHandler:            func(context.Context, *cli.Command, error) {}, // run sees to it
		DisableSliceFlagSeparator: true,
		HideHelpCommand:           one, // its making is not free, and nobody asked for it
	}
}

func (a *app) globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "debug", Usage: "log what is done", Destination: &a.debug},
		&cli.StringFlag{Name: "log", Usage: "append log records to `FILE` instead of writing them to standard error", Destination: &a.logFile},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "format of log records: text or json", Destination: &a.logFormat},
		&cli.StringFlag{Name: "log-level", Usage: "least important records to log: error, warning, info or debug", Destination: &a.logLevel},
		&cli.StringFlag{Name: "root", Usage: "keep the state of containers in `DIR`, which should be on a tmpfs (default: /run/" + a.name + ", or $XDG_RUNTIME_DIR/" + a.name + ")", Destination: &a.root},
		&cli.BoolFlag{Name: "systemd-cgroup", Usage: "let systemd make the cgroups", Destination: &a.systemdCgroup},
		&cli.StringFlag{Name: "cgroup-manager", Value: "cgroupfs", Usage: "who makes the cgroups: cgroupfs, systemd or disabled", Destination: &a.cgroupManager},
		&cli.StringFlag{Name: "criu", Hidden: true, Usage: "ignored: criu is looked for in $PATH, as runc does"},
		&cli.StringFlag{Name: "rootless", Value: "auto", Usage: "true, false or auto; accepted for callers of runc, found out in any case", Destination: &a.rootless},
	}
}

// prepare acts on the global flags. It comes before anything is opened: which descriptors
// the caller handed over can be told only as long as there are no others.
func (a *app) prepare() error {
	if a.prepared {
		return nil // before the command line was read again
	}
	a.prepared = true
	a.inherited.adopt()
	if err := a.openLog(); err != nil {
		return err
	}
	switch a.cgroupManager {
	case "cgroupfs", "systemd", "disabled":
	default:
		return fmt.Errorf("invalid cgroup-manager: %s", a.cgroupManager)
	}
	switch a.rootless {
	case "true", "false", "auto":
	default:
		return fmt.Errorf("invalid rootless: %s", a.rootless)
	}
	return nil
}

// manager is who makes the cgroups: nobody, if that is asked for in any way.
func (a *app) manager() runtime.CgroupManager {
	if a.systemdCgroup && a.cgroupManager != "disabled" {
		return runtime.SystemdCgroups
	}
	return runtime.CgroupManager(a.cgroupManager)
}

// openRuntime is the library on the state directory that was asked for.
func (a *app) openRuntime() (*runtime.Runtime, error) {
	root, sticky := a.root, false
	if a.rootSet {
		if root == "" {
			return nil, errors.New("--root: must not be empty")
		}
	} else {
		var err error
		if root, sticky, err = a.defaultRoot(); err != nil {
			return nil, err
		}
	}
	options := []runtime.Option{
		runtime.WithWarnings(func(text string) { a.log.Warn(text) }),
		runtime.WithCgroupManager(a.manager()),
	}
	if sticky {
		options = append(options, runtime.WithStickyRoot())
	}
	return runtime.New(root, options...)
}

// usageError prints what the user should have typed.
func (a *app) usageError(ctx context.Context, c *cli.Command, err error, sub bool) error {
	fmt.Fprintf(c.Root().Writer, "Incorrect Usage: %v\n\n", err)
	showHelp(ctx, c, sub)
	return err
}

func showHelp(ctx context.Context, c *cli.Command, sub bool) {
	if sub {
		_ = cli.ShowCommandHelp(ctx, c.Root(), c.Name)
		return
	}
	_ = cli.ShowRootCommandHelp(c)
}

// arguments checks the number of a command's arguments; max < 0 is no maximum.
func (a *app) arguments(ctx context.Context, c invocation, least, most int) error {
	n, what := c.NArg(), ""
	switch {
	case least == most && n != least:
		what = fmt.Sprintf("exactly %d", least)
	case n < least:
		what = fmt.Sprintf("a minimum of %d", least)
	case most >= 0 && n > most:
		what = fmt.Sprintf("a maximum of %d", most)
	default:
		return nil
	}
	command, ok := c.(*cli.Command)
	if !ok {
		return errSlow
	}
	fmt.Fprint(command.Root().Writer, "Incorrect Usage.\n\n")
	showHelp(ctx, command, true)
	return fmt.Errorf("%s: %q requires %s argument(s)", a.name, command.Name, what)
}

// onContainer is the frame of the commands that do one thing to one container.
func (a *app) onContainer(do func(context.Context, invocation, *runtime.Container) error) cli.ActionFunc {
	return a.act(func(ctx context.Context, c invocation) error {
		if err := a.arguments(ctx, c, 1, 1); err != nil {
			return err
		}
		return a.withContainer(ctx, c, do)
	})
}

func (a *app) withContainer(ctx context.Context, c invocation, do func(context.Context, invocation, *runtime.Container) error) error {
	rt, err := a.openRuntime()
	if err != nil {
		return err
	}
	container, err := rt.Container(c.Args().First())
	if err != nil {
		return err
	}
	defer container.Close()
	return do(ctx, c, container)
}
