package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

func (a *app) seccompCommand() *cli.Command {
	return &cli.Command{
		Name: "seccomp", Usage: "look at the seccomp profile of a bundle",
		Description: "Needs no privileges and starts nothing.",
		Commands:    []*cli.Command{a.seccompExplainCommand(), a.seccompDisasmCommand()},
		Action: func(ctx context.Context, c *cli.Command) error {
			showHelp(ctx, c, true)
			if c.NArg() > 0 {
				return fmt.Errorf("%s: seccomp has no command %q", a.name, c.Args().First())
			}
			return nil
		},
	}
}

func archFlag(to *string) cli.Flag {
	return &cli.StringFlag{Name: "arch", Usage: "architecture `ARCH`: SCMP_ARCH_X86, x86 or 386 (default: this machine's)", Destination: to}
}

func (a *app) seccompExplainCommand() *cli.Command {
	arch, asJSON := "", false
	return &cli.Command{
		Name: "explain", Usage: "say what becomes of a system call, and which rule decides", ArgsUsage: "<bundle> <system-call> [arguments…]",
		Description: "The system call is a name or a number. What its arguments decide is shown as cases\nwhere they are not given; they are numbers.",
		Flags: []cli.Flag{
			archFlag(&arch),
			&cli.BoolFlag{Name: "json", Usage: "print JSON", Destination: &asJSON},
		},
		OnUsageError: a.usageError,
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 2, 8); err != nil {
				return err
			}
			q := runtime.SeccompQuestion{Arch: arch, Call: c.Args().Get(1)}
			for _, word := range c.Args().Slice()[2:] {
				n, err := argument(word)
				if err != nil {
					return err
				}
				q.Args = append(q.Args, n)
			}
			dir, err := a.bundleArgument(c, "")
			if err != nil {
				return err
			}
			b, err := a.checked(dir)
			if err != nil {
				return err
			}
			answer, err := runtime.ExplainSeccomp(b, q)
			if err != nil {
				return err
			}
			return printAnswer(answer, asJSON)
		}),
	}
}

// argument reads an argument of a system call; a negative one is as the kernel sees it.
func argument(word string) (uint64, error) {
	if strings.HasPrefix(word, "-") {
		n, err := strconv.ParseInt(word, 0, 64)
		if err == nil {
			return uint64(n), nil
		}
	}
	n, err := strconv.ParseUint(word, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of 64 bits", word)
	}
	return n, nil
}

// printAnswer prints a line for the call, and one for each case.
func printAnswer(answer runtime.SeccompAnswer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(answerJSON(answer))
	}
	var b strings.Builder
	name := "no known call"
	if len(answer.Names) > 0 {
		name = answer.Names[0]
	}
	fmt.Fprintf(&b, "%s, %d on %s\n", name, answer.Number, answer.Arch)
	for i, c := range answer.Cases {
		when := ""
		switch {
		case c.When != "":
			when = "if " + c.When + ": "
		case i > 0:
			when = "otherwise: "
		}
		why := ""
		if c.Why != "" {
			why = ": " + c.Why
		}
		fmt.Fprintf(&b, "  %s%s\n      config.json %s%s\n", when, c.Action, c.Pointer, why)
	}
	_, err := os.Stdout.WriteString(printable(b.String()))
	return err
}

func answerJSON(answer runtime.SeccompAnswer) any {
	type kase struct {
		When    string `json:"when,omitempty"`
		Action  string `json:"action"`
		Pointer string `json:"pointer"`
		Why     string `json:"why,omitempty"`
	}
	cases := []kase{}
	for _, c := range answer.Cases {
		cases = append(cases, kase(c))
	}
	return struct {
		Arch   string   `json:"arch"`
		Number uint32   `json:"number"`
		Names  []string `json:"names"`
		Cases  []kase   `json:"cases"`
	}{string(answer.Arch), answer.Number, append([]string{}, answer.Names...), cases}
}

func (a *app) seccompDisasmCommand() *cli.Command {
	arch, raw := "", false
	return &cli.Command{
		Name: "disasm", Usage: "print the filter that the profile is compiled to", ArgsUsage: "[bundle]",
		Description: "One instruction a line.",
		Flags: []cli.Flag{
			archFlag(&arch),
			&cli.BoolFlag{Name: "raw", Usage: "write the filter itself, an array of struct sock_filter, for other tools", Destination: &raw},
		},
		OnUsageError: a.usageError,
		Action: a.act(func(ctx context.Context, c invocation) error {
			if err := a.arguments(ctx, c, 0, 1); err != nil {
				return err
			}
			dir, err := a.bundleArgument(c, "")
			if err != nil {
				return err
			}
			b, err := a.checked(dir)
			if err != nil {
				return err
			}
			out, err := filterText(b, arch, raw)
			if err != nil {
				return err
			}
			_, err = os.Stdout.Write(out)
			return err
		}),
	}
}

func filterText(b *spec.Bundle, arch string, raw bool) ([]byte, error) {
	if !raw {
		text, err := runtime.DisassembleSeccomp(b, arch)
		return []byte(text), err
	}
	out, err := runtime.SeccompFilter(b, arch)
	if err != nil {
		return nil, err
	}
	if st, err := os.Stdout.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		return nil, errors.New("--raw: standard output is a terminal")
	}
	return out, nil
}
