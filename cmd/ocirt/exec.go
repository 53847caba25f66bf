package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

// An execution is one call of exec: its flags, and what comes of them.
type execution struct {
	app     *app
	options runtime.ExecOptions
	detach  bool

	process string // a file, or "-"
	tty     bool
	user    string
	groups  []string
	caps    []string
	env     []string
	cwd     string
	noNew   bool
	profile string
	label   string

	signals  *signals
	terminal *terminal
}

func (a *app) execCommand() *cli.Command {
	x := &execution{app: a}
	one := 1 // what follows the id belongs to the command
	return &cli.Command{
		Name: "exec", Usage: "execute a further process in a container",
		ArgsUsage: "<container-id> <command> [argument ...]  || --process FILE <container-id>",
		Description: "Without --process, the process is like the container's first one but for the command and\n" +
			"what the flags say. The exit status is that of the command, or 128 plus the number of the\n" +
			"signal that ended it; 255 if it could not be executed.",
		Flags: x.flags(), StopOnNthArg: &one, DisableSliceFlagSeparator: true,
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 1, -1); err != nil {
				return err
			}
			status, err := x.exec(ctx, c)
			if err != nil {
				return coded{fmt.Errorf("exec failed: %w", err), execFailed}
			}
			if status != 0 {
				return exitCode(status)
			}
			return nil
		}),
	}
}

// execFailed is the exit status for whatever is wrong before the command is executed.
const execFailed = 255

// A coded error ends the program with a status of its own.
type coded struct {
	error
	code int
}

// ExitCode makes it a cli.ExitCoder.
func (e coded) ExitCode() int { return e.code }

func (e coded) Unwrap() error { return e.error }

func (x *execution) flags() []cli.Flag {
	o := &x.options
	return []cli.Flag{
		&cli.StringFlag{Name: "console-socket", Usage: "`PATH` of a listening socket that receives the terminal's master", Destination: &o.ConsoleSocket},
		&cli.StringFlag{Name: "pidfd-socket", Usage: "`PATH` of a listening socket that receives a pidfd of the process", Destination: &o.PidfdSocket},
		&cli.StringFlag{Name: "cwd", Usage: "working directory `DIR` in the container", Destination: &x.cwd},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set an environment variable, as `NAME=VALUE`; repeatable", Destination: &x.env},
		&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the process a terminal", Destination: &x.tty},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`UID[:GID]` of the process, in digits", Destination: &x.user},
		&cli.StringSliceFlag{Name: "additional-gids", Aliases: []string{"g"}, Usage: "one more group `GID`; repeatable", Destination: &x.groups},
		&cli.StringFlag{Name: "process", Aliases: []string{"p"}, Usage: "read the whole process object from `FILE` (- is standard input); the flags about it are not used then", Destination: &x.process},
		&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return when the command runs", Destination: &x.detach},
		&cli.StringFlag{Name: "pid-file", Usage: "write the pid of the process to `FILE`", Destination: &o.PidFile},
		&cli.StringFlag{Name: "process-label", Usage: "SELinux `LABEL` of the process", Destination: &x.label},
		&cli.StringFlag{Name: "apparmor", Usage: "AppArmor `PROFILE` of the process", Destination: &x.profile},
		&cli.BoolFlag{Name: "no-new-privs", Usage: "let the process gain no privileges", Destination: &x.noNew},
		&cli.StringSliceFlag{Name: "cap", Aliases: []string{"c"}, Usage: "give the process one more capability `CAP`; repeatable", Destination: &x.caps},
		&cli.IntFlag{Name: "preserve-fds", Usage: "pass `N` more descriptors on, after standard error", Destination: &x.app.inherited.preserve},
		&cli.StringSliceFlag{Name: "cgroup", Usage: "run in an existing cgroup `[CONTROLLER[,CONTROLLER]:]PATH` below the container's; repeatable", Destination: &o.Cgroups},
		&cli.BoolFlag{Name: "ignore-paused", Usage: "do not refuse a paused container: the command runs when it is resumed", Destination: &o.IgnorePaused},
	}
}

// exec returns the exit status of the command; 0 if it was only started.
func (x *execution) exec(ctx context.Context, c invocation) (status int, err error) {
	if c.NArg() == 1 && x.process == "" {
		return 0, errors.New("exec args cannot be empty: no command and no --process")
	}
	if c.NArg() > 1 && x.process != "" {
		return 0, errors.New("--process and a command exclude each other")
	}
	rt, err := x.app.openRuntime()
	if err != nil {
		return 0, err
	}
	container, err := rt.Container(c.Args().First())
	if err != nil {
		return 0, err
	}
	defer container.Close()
	x.app.hold()
	p, err := x.object(c, container)
	if err != nil {
		return 0, err
	}
	if err := x.check(p); err != nil {
		return 0, err
	}
	if x.options.ExtraFiles, err = x.app.inherited.extras(); err != nil {
		return 0, err
	}
	x.options.Stdio = runtime.Inherit()
	if !x.detach {
		x.signals = x.app.catchSignals(p.Terminal)
		x.options.Attach = x.attach
	}
	return x.run(ctx, container, p)
}

func (x *execution) run(ctx context.Context, container *runtime.Container, p *specs.Process) (int, error) {
	defer func() { x.terminal.restore() }() // on panic, too
	proc, err := container.Exec(ctx, p, x.options)
	if err != nil {
		x.leave()
		return 0, execError(err)
	}
	defer proc.Close()
	x.app.release()
	x.app.log.Debug("executed", "id", container.ID(), "pid", proc.Pid())
	if x.detach {
		return 0, nil
	}
	runtime.TrimMemory()
	status, err := proc.Wait(ctx)
	x.terminal.finish()
	return status, err
}

// attach joins the user to the process before it executes the command.
func (x *execution) attach(p *runtime.Process) (err error) {
	if master := p.Console(); master != nil {
		if x.terminal, err = openTerminal(master); err != nil {
			return err
		}
	}
	x.signals.forward(p.Signal, x.terminal)
	return nil
}

// leave gives the user's terminal back, and signals their own meaning.
func (x *execution) leave() {
	if x.signals != nil {
		x.signals.stop()
	}
	x.terminal.restore()
}

// execError puts the words before an error of Exec that callers expect.
func execError(err error) error {
	var state *runtime.StateError
	var problems spec.Problems
	if errors.As(err, &state) || errors.As(err, &problems) || errors.Is(err, runtime.ErrNotFound) {
		return err
	}
	return fmt.Errorf("unable to start container process: %w", err)
}

// check refuses what cannot go together.
func (x *execution) check(p *specs.Process) error {
	switch {
	case x.detach && p.Terminal && x.options.ConsoleSocket == "":
		return advised{fmt.Errorf("cannot allocate tty if %s will detach without setting console socket", x.app.name), errNoSocket}
	case x.options.ConsoleSocket != "" && (!x.detach || !p.Terminal):
		return fmt.Errorf("cannot use console socket if %s will not detach or allocate tty", x.app.name)
	case p.Terminal && !x.detach:
		return mustBeTerminal()
	}
	return nil
}

// object is the process object: of a file, or the container's own with what the flags say.
func (x *execution) object(c invocation, container *runtime.Container) (*specs.Process, error) {
	if x.process != "" {
		return x.read()
	}
	p, err := container.Process()
	if err != nil {
		return nil, err
	}
	p.Args = c.Args().Tail()
	for _, e := range x.env {
		switch strings.IndexByte(e, '=') {
		case -1:
			return nil, fmt.Errorf(`--env: missing "=" in %q`, e)
		case 0:
			return nil, fmt.Errorf("--env: empty name in %q", e)
		}
	}
	p.Env = append(p.Env, x.env...)
	if c.IsSet("tty") {
		p.Terminal = x.tty
	}
	if c.IsSet("no-new-privs") {
		p.NoNewPrivileges = x.noNew
	}
	if x.profile != "" {
		p.ApparmorProfile = x.profile
	}
	if x.label != "" {
		p.SelinuxLabel = x.label
	}
	if x.cwd != "" {
		if !path.IsAbs(x.cwd) {
			return nil, fmt.Errorf("Cwd must be an absolute path: --cwd: found %q", x.cwd) //nolint:staticcheck // callers match these words
		}
		p.Cwd = x.cwd
	}
	addCapabilities(p, x.caps)
	return p, x.setUser(p)
}

// setUser acts on --user and --additional-gids.
func (x *execution) setUser(p *specs.Process) error {
	if x.user != "" {
		uid, gid, both := strings.Cut(x.user, ":")
		n, err := parseID("--user", "uid", uid, x.user)
		if err != nil {
			return err
		}
		p.User.UID = n
		if both {
			if n, err = parseID("--user", "gid", gid, x.user); err != nil {
				return err
			}
			p.User.GID = n
		}
	}
	for _, g := range x.groups {
		n, err := parseID("--additional-gids", "gid", g, g)
		if err != nil {
			return err
		}
		p.User.AdditionalGids = append(p.User.AdditionalGids, n)
	}
	return nil
}

// parseID reads an id: digits and nothing else, and not the number that means "unchanged"
// to the kernel. Users are numbers here, whatever a file of the image says.
func parseID(flag, what, text, whole string) (uint32, error) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		negative := strings.HasPrefix(text, "-") && len(text) > 1 && strings.Trim(text[1:], "0123456789") == ""
		switch {
		case negative:
			return 0, fmt.Errorf("%s: %s %s is out of range (0 to %d)", flag, what, text, uint32(noID-1))
		case flag == "--user":
			return 0, fmt.Errorf("%s: expected uid[:gid] in digits, found %q", flag, whole)
		}
		return 0, fmt.Errorf("%s: expected a group in digits, found %q", flag, whole)
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == noID {
		return 0, fmt.Errorf("%s: %s %s is out of range (0 to %d)", flag, what, text, uint32(noID-1))
	}
	return uint32(n), nil
}

const noID = 1<<32 - 1

// addCapabilities adds to the sets that say what the process may do. The inheritable set
// stays as it is, so that file capabilities give nothing more, and with it the ambient one,
// but for what the configuration lets be inherited already (CVE-2022-29162).
func addCapabilities(p *specs.Process, caps []string) {
	if len(caps) == 0 {
		return
	}
	if p.Capabilities == nil {
		p.Capabilities = &specs.LinuxCapabilities{}
	}
	s := p.Capabilities
	s.Bounding = append(s.Bounding, caps...)
	s.Effective = append(s.Effective, caps...)
	s.Permitted = append(s.Permitted, caps...)
	for _, c := range caps {
		for _, may := range s.Inheritable {
			if may == c {
				s.Ambient = append(s.Ambient, c)
				break
			}
		}
	}
}

// read reads the object from a file.
func (x *execution) read() (*specs.Process, error) {
	name, raw := x.process, []byte(nil)
	var err error
	if name == "-" {
		name = "standard input"
		raw, err = io.ReadAll(io.LimitReader(os.Stdin, maxConfig+1))
		if err == nil && len(raw) > maxConfig {
			err = fmt.Errorf("larger than %d MiB", maxConfig>>20)
		}
	} else {
		raw, err = readFile(".", name)
	}
	if err != nil {
		return nil, fmt.Errorf("--process: cannot read %q: %w", name, cause(err))
	}
	p, problems := spec.ParseProcess(path.Base(name), raw)
	for _, w := range problems.Warnings() {
		x.app.log.Warn(path.Base(name) + ": " + w.String())
	}
	return p, problems.Err()
}

// mustBeTerminal refuses a terminal in the foreground that nobody sits at: what was typed
// into a pipe would be echoed, and its end never be seen.
func mustBeTerminal() error {
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err != nil {
		return errors.New("process.terminal: stdin is not a terminal")
	}
	return nil
}
