package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) psCommand() *cli.Command {
	format, one := "", 1
	return &cli.Command{
		Name: "ps", Usage: "list the processes of a container", ArgsUsage: "<container-id> [ps options]",
		Description: "The table is that of the host's ps, which gets the options (default: -ef) and must\nprint a column PID.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "table or json", Destination: &format},
		},
		StopOnNthArg: &one,
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 1, -1); err != nil {
				return err
			}
			if format != "table" && format != "json" {
				return fmt.Errorf("invalid format option: %q", format)
			}
			return a.withContainer(ctx, c, func(ctx context.Context, c invocation, container *runtime.Container) error {
				pids, err := container.Processes()
				if err != nil {
					return err
				}
				if format == "json" {
					return printPids(pids)
				}
				return printProcesses(ctx, pids, c.Args().Tail())
			})
		}),
	}
}

func printPids(pids []int) error {
	b := []byte{'['}
	for i, pid := range pids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(pid), 10)
	}
	_, err := os.Stdout.Write(append(b, "]\n"...))
	return err
}

// printProcesses prints what ps says about these processes.
func printProcesses(ctx context.Context, pids []int, args []string) error {
	switch len(args) {
	case 0:
		args = []string{"-ef"}
	case 1: // engines hand several options over as one argument
		args = strings.Fields(args[0])
	}
	path, err := findPs()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("cannot list processes: %s: %w: %s", path, err, bytes.TrimSpace(said.Bytes()))
	}
	table, err := onlyPids(string(out), pids)
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(table)
	return err
}

// findPs looks for ps in the absolute directories of PATH, and then where it usually is.
func findPs() (string, error) {
	dirs := append(filepath.SplitList(os.Getenv("PATH")), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
	for _, dir := range dirs {
		path := filepath.Join(dir, "ps")
		if !filepath.IsAbs(dir) {
			continue
		}
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", errors.New("cannot list processes: there is no ps on this host (--format json needs none)")
}

// onlyPids keeps the header of a table of ps and the rows of these processes.
func onlyPids(table string, pids []int) (string, error) {
	lines := strings.SplitAfter(table, "\n")
	column := slices.Index(strings.Fields(lines[0]), "PID")
	if column < 0 {
		return "", errors.New("cannot pick the container's processes: the options for ps give a table without a column PID")
	}
	kept := lines[:1:1]
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) <= column {
			continue
		}
		if pid, err := strconv.Atoi(fields[column]); err == nil && slices.Contains(pids, pid) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, ""), nil
}
