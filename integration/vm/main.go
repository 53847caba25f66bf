package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Exit statuses beside those of a command in the machine.
const (
	statusFailed   = 1
	statusUsage    = 2
	statusNoImage  = 77 // there is no image, and it cannot be made here
	statusTimeout  = 124
	statusBrokenVM = 125 // the machine did not come up, or did not come to the job's end
)

// options are the flags of all commands.
type options struct {
	image   image
	machine machine
	job     job
	limit   time.Duration
	pattern string
	clients string
	ours    string
	peer    string
	atOnce  int
}

func main() {
	// As after a terminal's hang-up: the machine is ended, its files are removed.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	status := run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string) int {
	commands := map[string]func(context.Context, *options, []string) (int, error){
		"test": runTests, "run": runCommand, "shell": runShell, "image": makeImage, "archive": makeArchive,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprintln(os.Stderr, "usage: vm test|run|shell|image [FLAG...] [ARGUMENT...]; -h after a command explains its flags")
		return statusUsage
	}
	var o options
	flags := o.flags(args[0])
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return statusUsage
	}
	if o.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.limit)
		defer cancel()
	}
	status, err := commands[args[0]](ctx, &o, flags.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
	}
	return status
}

// flags describes them; the fields that they set get their defaults.
func (o *options) flags(command string) *flag.FlagSet {
	f := flag.NewFlagSet("vm "+command, flag.ContinueOnError)
	o.image = image{dir: os.Getenv("OCIRT_VM")}
	if o.image.dir == "" {
		o.image.dir = "/var/cache/ocirt-vm"
	}
	f.DurationVar(&o.limit, "limit", 0, "for everything, making the image included; 0: none")
	f.BoolVar(&o.image.force, "force", false, "make the image even if it is up to date")
	f.StringVar(&o.image.parts, "parts", "sid trixie bookworm clients", "what a new image gets: kernels, and what tests of clients need")
	if command == "image" {
		return f
	}
	f.StringVar(&o.machine.kernel, "kernel", "sid", "the kernel: sid, trixie or bookworm")
	f.IntVar(&o.machine.memory, "memory", 4096, "of the machine, in MiB")
	f.IntVar(&o.machine.cpus, "cpus", 0, "processors of the machine; 0: two, and one for clients")
	f.StringVar(&o.machine.append, "append", "", "more arguments for the kernel")
	f.BoolVar(&o.machine.commit, "commit", false, "keep what the machine changes on its disk")
	f.BoolVar(&o.machine.verbose, "verbose", false, "print the machine's console at the end")
	if command == "test" {
		f.StringVar(&o.pattern, "run", "", "only tests, and checks of clients, that match this regular expression")
		f.StringVar(&o.clients, "clients", "", "only these of podman,rootless,docker,ctr,cri")
		f.StringVar(&o.ours, "ocirt", "bin/ocirt", "the runtime under test")
		f.StringVar(&o.peer, "peer", "", "a runtime of the machine, such as runc, for the clients to use instead")
		f.IntVar(&o.atOnce, "machines", 2, "how many machines there may be at a time")
		return f
	}
	f.StringVar(&o.job.dir, "dir", "", "a folder to copy into the machine, where it is the working folder")
	f.StringVar(&o.job.user, "user", "root", "who runs the command: root or rootless")
	f.Func("env", "K=V for the command; may be repeated", func(s string) error {
		o.job.env = append(o.job.env, s)
		return nil
	})
	if command == "run" {
		f.StringVar(&o.job.out, "out", "", "where to put what the command leaves in /lab/out")
		f.DurationVar(&o.job.limit, "timeout", 5*time.Minute, "for the command")
	}
	return f
}

// runCommand runs a command in the machine; its exit status is the command's.
func runCommand(ctx context.Context, o *options, args []string) (int, error) {
	if len(args) == 0 {
		return statusUsage, errors.New("no command")
	}
	if err := o.image.ready(ctx, o.machine.kernel); err != nil {
		return statusNoImage, err
	}
	o.job.command = args
	return o.machine.run(ctx, o.image, o.job, os.Stdout, os.Stderr)
}

// runShell connects the terminal with a shell in the machine.
func runShell(ctx context.Context, o *options, args []string) (int, error) {
	if err := o.image.ready(ctx, o.machine.kernel); err != nil {
		return statusNoImage, err
	}
	o.job.terminal, o.job.command, o.job.limit = true, append([]string{"bash"}, args...), 24*time.Hour
	defer saneTerminal()
	return o.machine.run(ctx, o.image, o.job, os.Stdout, os.Stderr)
}

// saneTerminal undoes what QEMU does to the terminal if it was not QEMU that ended first.
func saneTerminal() {
	cmd := exec.Command("stty", "sane")
	cmd.Stdin = os.Stdin
	_ = cmd.Run()
}

// makeImage makes the image if there is none, or an old one.
func makeImage(ctx context.Context, o *options, _ []string) (int, error) {
	if err := o.image.ready(ctx, strings.Fields(o.image.parts)...); err != nil {
		return statusNoImage, err
	}
	fmt.Println("image:", o.image.file("disk.img"))
	return 0, nil
}
