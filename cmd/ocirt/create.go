package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

// A creation is what create and run have in common: the flags, and what comes of them.
type creation struct {
	app     *app
	bundle  string
	config  string
	detach  bool // create always detaches
	options runtime.CreateOptions
	ready   <-chan struct{} // if not nil, closed when a signal can no longer leave half a container
}

// flags are those of both commands. What --no-subreaper is for concerns only run, but
// callers give it to create, too.
func (cr *creation) flags(noSubreaper *bool) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "directory `DIR` of the bundle (default: the current one)", Destination: &cr.bundle},
		&cli.StringFlag{Name: "config", Aliases: []string{"f"}, Usage: "another `FILE` in the bundle instead of config.json", Destination: &cr.config},
		&cli.StringFlag{Name: "console-socket", Usage: "`PATH` of a listening socket that receives the terminal's master", Destination: &cr.options.ConsoleSocket},
		&cli.StringFlag{Name: "pidfd-socket", Usage: "`PATH` of a listening socket that receives a pidfd of the container's first process", Destination: &cr.options.PidfdSocket},
		&cli.StringFlag{Name: "pid-file", Usage: "write the pid of the container's first process to `FILE`", Destination: &cr.options.PidFile},
		&cli.BoolFlag{Name: "no-pivot", Usage: "do not use pivot_root: for root file systems on a ramdisk", Destination: &cr.options.NoPivot},
		&cli.BoolFlag{Name: "no-new-keyring", Usage: "keep the caller's session keyring", Destination: &cr.options.NoNewKeyring},
		&cli.IntFlag{Name: "preserve-fds", Usage: "pass `N` more descriptors on, after standard error and $LISTEN_FDS", Destination: &cr.app.inherited.preserve},
		&cli.BoolFlag{Name: "no-subreaper", Usage: "do not adopt the container's orphans", Hidden: cr.detach, Destination: noSubreaper},
	}
}

func (a *app) createCommand() *cli.Command {
	cr, ignored := &creation{app: a, detach: true}, false
	return &cli.Command{
		Name: "create", Usage: "create a container", ArgsUsage: "<container-id>", Flags: cr.flags(&ignored),
		Description: "Builds a container from a bundle. Its first process then waits for start.",
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 1, 1); err != nil {
				return err
			}
			if err := cr.create(ctx, c); err != nil {
				return fmt.Errorf("%s create failed: %w", a.name, started(err))
			}
			return nil
		}),
	}
}

func (cr *creation) create(ctx context.Context, c invocation) error {
	b, err := cr.load()
	if err != nil {
		return err
	}
	runtime.Ready(b)
	container, err := cr.makeAlone(ctx, c.Args().First(), b)
	if err != nil {
		return err
	}
	_ = container.Close() // nothing that happens now undoes the container
	return nil
}

// load reads the bundle.
func (cr *creation) load() (*spec.Bundle, error) {
	dir := cr.bundle
	if dir == "" {
		dir = "."
	}
	b, err := loadBundle(dir, cr.config)
	if err != nil {
		return nil, err
	}
	b.Default()
	return b, nil
}

func loadBundle(dir, config string) (*spec.Bundle, error) {
	if err := isFolder(dir); err != nil {
		return nil, fmt.Errorf("--bundle: %w", err)
	}
	if config == "" {
		return spec.Load(dir)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("--bundle: cannot make %q absolute: %w", dir, err)
	}
	raw, err := readFile(abs, config)
	if err != nil {
		return nil, fmt.Errorf("--config: cannot read %q: %w", config, cause(err))
	}
	return spec.Parse(abs, raw)
}

// isFolder refuses what cannot be a bundle: that it has no config.json would be beside the
// point.
func isFolder(dir string) error {
	if st, err := os.Stat(dir); err != nil {
		return fmt.Errorf("cannot use %q: %w", dir, cause(err))
	} else if !st.IsDir() {
		return fmt.Errorf("%q must be a directory", dir)
	}
	return nil
}

// maxConfig is the largest config.json that is read.
const maxConfig = 16 << 20

// readFile reads a file, named from dir, that may be anything: a FIFO must not stop us.
func readFile(dir, name string) ([]byte, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, errors.New("must be a regular file")
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(raw) > maxConfig {
		err = fmt.Errorf("larger than %d MiB", maxConfig>>20)
	}
	return raw, err
}

// cause is an error without the operation and path of an *os.PathError, which the sentence
// around it has already.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// make creates the container.
func (cr *creation) make(ctx context.Context, id string, b *spec.Bundle) (*runtime.Container, error) {
	if err := cr.check(b); err != nil {
		return nil, err
	}
	var err error
	if cr.options.ListenFiles, cr.options.ExtraFiles, err = cr.app.inherited.files(); err != nil {
		return nil, err
	}
	rt, err := cr.app.openRuntime()
	if err != nil {
		return nil, err
	}
	cr.app.hold()
	if text := cr.app.inherited.invalid; text != "" {
		cr.app.log.Warn(text)
	}
	for _, n := range b.Notes {
		cr.app.log.Warn("config.json: " + n.String())
	}
	cr.options.Stdio = runtime.Inherit()
	cr.options.ListenNames = cr.app.inherited.names
	cr.options.NotifySocket = os.Getenv("NOTIFY_SOCKET")
	if cr.ready != nil {
		cr.options.BeforeMaking = func() { <-cr.ready }
	}
	begin := time.Now()
	container, err := rt.Create(ctx, id, b, cr.options)
	if err != nil {
		return nil, err
	}
	cr.app.release()
	cr.app.log.Debug("created", "id", id, "pid", container.Pid(), "bundle", b.Dir, "took", time.Since(begin))
	return container, nil
}

// check refuses what cannot go together.
func (cr *creation) check(b *spec.Bundle) error {
	a := cr.app
	terminal := b.Spec.Process != nil && b.Spec.Process.Terminal
	switch {
	case cr.detach && terminal && cr.options.ConsoleSocket == "":
		return advised{fmt.Errorf("cannot allocate tty if %s will detach without setting console socket", a.name), errNoSocket}
	case cr.options.ConsoleSocket != "" && (!cr.detach || !terminal):
		return fmt.Errorf("cannot use console socket if %s will not detach or allocate tty", a.name)
	}
	return nil
}
