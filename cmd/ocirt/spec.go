package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/spec"
)

func (a *app) specCommand() *cli.Command {
	bundle, file, rootless := "", "", false
	return &cli.Command{
		Name: "spec", Usage: "write a config.json to start from",
		Description: "It describes a shell on a terminal, in a root file system called rootfs.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "write it to `DIR` (default: the current directory)", Destination: &bundle},
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "write it to `FILE` in the bundle instead of config.json", Destination: &file},
			&cli.BoolFlag{Name: "rootless", Usage: "one that a user without privileges can start", Destination: &rootless},
		},
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 0, 0); err != nil {
				return err
			}
			if file == "" {
				file = spec.ConfigName
			}
			return writeSpec(bundle, file, rootless)
		}),
	}
}

func writeSpec(bundle, file string, rootless bool) error {
	data, err := spec.Marshal(spec.Template(rootless, uint32(os.Geteuid()), uint32(os.Getegid()), unifiedCgroups()))
	if err != nil {
		return err
	}
	path := file
	if !filepath.IsAbs(file) {
		path = filepath.Join(bundle, file)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_CLOEXEC, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("File %s exists. Remove it first", file) //nolint:revive,staticcheck // callers match these words
	}
	if err != nil {
		return fmt.Errorf("cannot make %q: %w", path, cause(err))
	}
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", path, cause(err))
	}
	return nil
}

// unifiedCgroups reports whether this host has cgroup v2 and nothing else: there a cgroup
// namespace is what a container's view of the cgroups needs.
func unifiedCgroups() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}
