package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) featuresCommand() *cli.Command {
	return &cli.Command{
		Name: "features", Usage: "print what this runtime can do, as JSON",
		Description: "The document is that of the runtime specification's features.md: what this program was\nbuilt to do, whatever the kernel of this host may lack.",
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 0, 0); err != nil {
				return err
			}
			f := runtime.Features()
			f.Annotations["org.opencontainers.ocirt.version"] = version
			f.Annotations["org.opencontainers.ocirt.commit"] = revision()
			out, err := json.MarshalIndent(f, "", "    ")
			if err != nil {
				return err
			}
			_, err = os.Stdout.Write(append(out, '\n'))
			return err
		}),
	}
}
