// Command demo runs the examples with a container runtime and prints what the program
// inside sees: as root and as an ordinary user if it is root, else as the caller.
//
//	go run ./examples/demo [-skip KIND,...] [-user UID:GID] RUNTIME
//
// It works in a temporary folder, leaves nothing behind, and fails if any container
// does. What belongs here: making the folders and starting the runtime.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ocirt/ocirt/examples"
)

// A demo is one run of this program.
type demo struct {
	ctx     context.Context // ends with an interrupt; what runs then is let finish
	dir     string          // readable for everybody
	runtime string          // a copy: the original may lie where an ordinary user may not go
	tour    string
	nobody  examples.User
	skip    []string
	failed  []string
}

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	d := &demo{}
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	skip := fs.String("skip", "", "examples to leave out, separated by commas")
	who := fs.String("user", "65534:65534", "ordinary user to run as if the caller is root")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return errors.New("cannot run without one argument, the runtime")
	}
	if _, err := fmt.Sscanf(*who, "%d:%d", &d.nobody.UID, &d.nobody.GID); err != nil {
		return fmt.Errorf("cannot read user %q: want UID:GID", *who)
	}
	d.skip = strings.Split(*skip, ",")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	d.ctx = ctx
	dir, err := os.MkdirTemp("", "ocirt-demo-")
	if err != nil {
		return fmt.Errorf("cannot make a working folder: %w", err)
	}
	defer os.RemoveAll(dir)
	d.dir = dir
	if err := d.prepare(fs.Arg(0)); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		d.asRoot()
		d.asUser(&d.nobody)
	} else {
		d.asUser(nil)
	}
	if d.ctx.Err() != nil {
		return errors.New("cannot finish: interrupted")
	}
	if len(d.failed) > 0 {
		return fmt.Errorf("cannot run %s", strings.Join(d.failed, ", "))
	}
	return nil
}

// prepare copies the runtime and builds the program of the examples.
func (d *demo) prepare(runtime string) error {
	if err := os.Chmod(d.dir, 0o755); err != nil {
		return fmt.Errorf("cannot open the working folder: %w", err)
	}
	path, err := exec.LookPath(runtime)
	if err != nil {
		return fmt.Errorf("cannot find the runtime: %w", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the runtime: %w", err)
	}
	d.runtime = filepath.Join(d.dir, filepath.Base(path))
	if err := os.WriteFile(d.runtime, data, 0o755); err != nil {
		return fmt.Errorf("cannot copy the runtime: %w", err)
	}
	d.tour = filepath.Join(d.dir, "tour.bin")
	return examples.BuildTour(d.tour)
}

// asRoot runs a container as root, then one example for each kind of namespace.
func (d *demo) asRoot() {
	d.show("a container, as root", "container", nil)
	for _, k := range examples.Kinds() {
		d.show("only "+k, k, nil)
	}
}

// asUser runs a container as an ordinary user: the given one, or the caller.
func (d *demo) asUser(who *examples.User) {
	self := who
	if self == nil {
		self = &examples.User{UID: os.Getuid(), GID: os.Getgid()}
	}
	d.show(fmt.Sprintf("a container, as ordinary user %d", self.UID), "rootless", who)
}

// show runs an example under a heading and notes a failure.
func (d *demo) show(heading, name string, who *examples.User) {
	if slices.Contains(d.skip, name) || d.ctx.Err() != nil {
		return
	}
	fmt.Printf("\n== %s ==\n", heading)
	if err := d.start(name, who); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		d.failed = append(d.failed, name)
	}
}

func (d *demo) start(name string, who *examples.User) error {
	home := filepath.Join(d.dir, name)
	bundle, state := filepath.Join(home, "bundle"), filepath.Join(home, "run")
	for _, p := range []string{bundle, state} {
		if err := os.MkdirAll(p, 0o755); err != nil {
			return fmt.Errorf("cannot make a folder: %w", err)
		}
	}
	o := examples.Options{Tour: d.tour, MapTo: who}
	if who == nil {
		o.MapTo = &examples.User{UID: os.Getuid(), GID: os.Getgid()}
	}
	if err := examples.Make(name, bundle, o); err != nil {
		return err
	}
	if err := os.Chmod(state, 0o700); err != nil {
		return fmt.Errorf("cannot close a folder: %w", err)
	}
	if who != nil {
		if err := give(home, *who); err != nil {
			return err
		}
	}
	id := fmt.Sprintf("demo-%s-%d", name, os.Getpid())
	defer func() { _ = d.command(home, who, "delete", "--force", id).Run() }()
	cmd := d.command(home, who, "run", "--bundle", bundle, id)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot run example %s: %w", name, err)
	}
	return nil
}

// command returns a command of the runtime. Root names a state folder; an ordinary
// user's is where the runtime itself puts it.
func (d *demo) command(home string, who *examples.User, args ...string) *exec.Cmd {
	if os.Geteuid() == 0 && who == nil {
		args = append([]string{"--root", filepath.Join(home, "run")}, args...)
	}
	cmd := exec.Command(d.runtime, args...)
	cmd.Dir = home
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+filepath.Join(home, "run"))
	if who != nil {
		cmd.Env = append(cmd.Env, "HOME="+home)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uint32(who.UID), Gid: uint32(who.GID)},
		}
	}
	return cmd
}

// give hands a folder and all in it to a user.
func give(dir string, who examples.User) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, who.UID, who.GID)
		}
		if err != nil {
			return fmt.Errorf("cannot hand over %s: %w", path, err)
		}
		return nil
	})
}
