package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime"
)

// criuFlags are those that checkpoint and restore have in common.
func criuFlags(o *runtime.CRIUOptions) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "image-path", Value: "checkpoint", Usage: "folder `DIR` of the checkpoint", Destination: &o.ImagesDir},
		&cli.StringFlag{Name: "work-path", Usage: "folder `DIR` for CRIU's log (default: that of --image-path)", Destination: &o.WorkDir},
		&cli.BoolFlag{Name: "tcp-established", Usage: "allow open TCP connections", Destination: &o.TCPEstablished},
		&cli.BoolFlag{Name: "ext-unix-sk", Usage: "allow Unix sockets that are connected to the outside", Destination: &o.ExternalUnix},
		&cli.BoolFlag{Name: "shell-job", Usage: "allow a terminal of the outside", Destination: &o.ShellJob},
		&cli.BoolFlag{Name: "file-locks", Usage: "allow file locks", Destination: &o.FileLocks},
		&cli.BoolFlag{Name: "lazy-pages", Usage: "leave memory behind until it is asked for: see criu lazy-pages", Destination: &o.LazyPages},
		&cli.BoolFlag{Name: "auto-dedup", Usage: "free what an earlier checkpoint holds and this one replaces", Destination: &o.AutoDedup},
		&cli.BoolFlag{Name: "link-remap", Usage: "allow open files that have been removed", Destination: &o.LinkRemap},
		&cli.StringFlag{Name: "manage-cgroups-mode", Usage: "`MODE` in which CRIU treats cgroups: soft, full, strict or ignore (default: soft)", Destination: &o.ManageCgroups},
		&cli.StringSliceFlag{Name: "empty-ns", Usage: "restore this `NAMESPACE` without what was in it: network", Destination: &o.EmptyNamespaces},
		&cli.StringFlag{Name: "network-lock", Usage: "`METHOD` to keep packets away: iptables, nftables or skip", Destination: &o.NetworkLock},
	}
}

func (a *app) checkpointCommand() *cli.Command {
	o, status := &runtime.CheckpointOptions{}, -1
	flags := append(criuFlags(&o.CRIUOptions),
		&cli.StringFlag{Name: "parent-path", Usage: "save only what has changed since the checkpoint in `DIR`, relative to --image-path", Destination: &o.ParentDir},
		&cli.BoolFlag{Name: "leave-running", Usage: "let the container run on", Destination: &o.LeaveRunning},
		&cli.BoolFlag{Name: "pre-dump", Usage: "save only memory, and let the container run on", Destination: &o.PreDump},
		&cli.BoolFlag{Name: "tcp-skip-in-flight", Usage: "leave out TCP connections that are being made", Destination: &o.TCPSkipInFlight},
		&cli.StringFlag{Name: "page-server", Usage: "send memory to the page server at `ADDRESS:PORT`", Destination: &o.PageServer},
		&cli.IntFlag{Name: "status-fd", Value: -1, Usage: "descriptor `FD` to which a NUL is written when --lazy-pages can be served", Destination: &status},
	)
	return &cli.Command{
		Name: "checkpoint", Usage: "save the processes of a container", ArgsUsage: "<container-id>", Flags: flags,
		Description: "CRIU saves them in a folder, from which `restore` makes them again. The container is then\ndeleted, unless it is to run on.",
		Action: a.onContainer(func(ctx context.Context, _ invocation, c *runtime.Container) (err error) {
			if status >= 0 {
				if o.StatusFD, err = statusFile(status); err != nil {
					return err
				}
				defer o.StatusFD.Close()
			}
			return c.Checkpoint(ctx, *o)
		}),
	}
}

// statusFile is the descriptor of --status-fd.
func statusFile(fd int) (*os.File, error) {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return nil, fmt.Errorf("--status-fd: descriptor %d is not open", fd)
	}
	if fd <= 2 {
		return nil, errors.New("--status-fd: must be greater than 2")
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "status-fd"), nil
}
