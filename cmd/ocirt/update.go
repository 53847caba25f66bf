package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

func (a *app) updateCommand() *cli.Command {
	return &cli.Command{
		Name: "update", Usage: "change the limits of a container", ArgsUsage: "<container-id>",
		Description: "What is not named stays as it is. Amounts of memory are bytes, or have a unit: 512m, 2g;\n-1 is no limit. --resources takes JSON as in linux.resources of config.json, and the\nother flags do not count then.",
		Flags:       updateFlags(),
		Action: a.onContainer(func(ctx context.Context, c invocation, container *runtime.Container) error {
			r, err := a.askedResources(c)
			if err != nil {
				return err
			}
			return container.UpdateWith(ctx, r, runtime.UpdateOptions{
				L3CacheSchema: c.String("l3-cache-schema"), MemBwSchema: c.String("mem-bw-schema"),
			})
		}),
	}
}

func updateFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "resources", Aliases: []string{"r"}, Usage: "read the limits from `FILE`; - is standard input"},
	}
	for _, l := range limitFlags() {
		flags = append(flags, &cli.StringFlag{Name: l.name, Usage: l.usage, Hidden: l.hidden})
	}
	return append(flags,
		&cli.StringFlag{Name: "l3-cache-schema", Usage: "Intel RDT/CAT schema of the L3 cache"},
		&cli.StringFlag{Name: "mem-bw-schema", Usage: "Intel RDT/MBA schema of the memory bandwidth"},
	)
}

// askedResources are the limits that the command line names.
func (a *app) askedResources(c invocation) (*specs.LinuxResources, error) {
	if file := c.String("resources"); file != "" {
		for _, l := range limitFlags() {
			if c.IsSet(l.name) {
				a.log.Debug("--resources counts, and not --" + l.name)
			}
		}
		return a.readResources(file)
	}
	r := &specs.LinuxResources{}
	for _, l := range limitFlags() {
		value := c.String(l.name)
		if value == "" {
			continue
		}
		if err := l.set(r, value); err != nil {
			return nil, fmt.Errorf("invalid value for %s: %w", l.name, err)
		}
	}
	if err := nameFlags(spec.CheckResources("update", r)); err != nil {
		return nil, err
	}
	if u := r.CPU; u != nil && u.Idle != nil && *u.Idle == 1 && u.Shares != nil {
		a.log.Warn("unable to apply both cpu-share and cpu-idle, ignoring cpu-share: an idle cgroup has no weight")
	}
	return r, nil
}

// nameFlags speaks of flags where a check speaks of properties.
func nameFlags(problems spec.Problems) error {
	for _, p := range problems.Errors() {
		for _, l := range limitFlags() {
			if l.property == p.Path {
				return fmt.Errorf("invalid value for %s: %s", l.name, p.Text)
			}
		}
	}
	return problems.Err()
}

// maxInput is more than the longest document that is accepted.
const maxInput = 16<<20 + 1

// readResources reads limits from a file or from standard input.
func (a *app) readResources(file string) (*specs.LinuxResources, error) {
	r, problems := (*specs.LinuxResources)(nil), spec.Problems(nil)
	if file == "-" {
		raw, err := io.ReadAll(io.LimitReader(os.Stdin, maxInput))
		if err != nil {
			return nil, fmt.Errorf("cannot read the limits from standard input: %w", err)
		}
		r, problems = spec.ParseResources("standard input", raw)
	} else {
		r, problems = spec.LoadResources(file, file)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	for _, w := range problems.Warnings() {
		a.log.Warn(w.String())
	}
	return r, nil
}
