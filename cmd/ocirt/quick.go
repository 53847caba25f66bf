package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"
)

// An invocation is a command as it was typed. *cli.Command is one.
type invocation interface {
	NArg() int
	Args() cli.Args
	IsSet(name string) bool
	String(name string) string
}

// act makes the action of a command, which is also what quickly calls.
func (a *app) act(do func(context.Context, invocation) error) cli.ActionFunc {
	a.do = do
	return func(ctx context.Context, c *cli.Command) error { return do(ctx, c) }
}

// errSlow is what a call that was read quickly is answered with if it takes the command-line
// library to answer it: for help, and for what is wrong with the usage.
var errSlow = errors.New("bug in ocirt: nobody has read the command line again")

// quickly carries out what engines type: known flags in their plain forms, then arguments. The
// library needs a fifth of a millisecond to read that, a tenth of what many a command takes.
// Where anything is out of the ordinary, done is false, and the library has its turn.
func (a *app) quickly(ctx context.Context, root, c *cli.Command, args []string) (done bool, err error) {
	t := &typed{}
	global := &typed{}
	rest, ok := global.flags(root.Flags, args[1:])
	if !ok || len(rest) == 0 || rest[0] != c.Name || len(c.Commands) > 0 || a.do == nil {
		return false, nil
	}
	if t.args, ok = t.flags(c.Flags, rest[1:]); !ok || slices.Contains(t.args, "--") {
		return false, nil
	}
	if c.StopOnNthArg == nil && slices.ContainsFunc(t.args, isFlag) { // behind the arguments
		return false, nil
	}
	if len(t.args) > 0 && (t.args[0] == "" || t.args[0] == "help" || t.args[0] == "h") {
		return false, nil
	}
	a.rootSet = global.IsSet("root")
	if err := a.prepare(); err != nil {
		return true, err
	}
	err = a.do(ctx, t)
	return err != errSlow, err //nolint:errorlint // it is never wrapped: nothing has been done
}

// A typed call was read without the library.
type typed struct {
	args []string
	set  []string // names of flags
}

func (t *typed) NArg() int              { return len(t.args) }
func (t *typed) Args() cli.Args         { return words(t.args) }
func (t *typed) IsSet(name string) bool { return slices.Contains(t.set, name) }

// String is for flags that no variable stands for, of which a typed call has none.
func (t *typed) String(string) string { return "" }

func isFlag(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// flags reads the flags at the beginning of args into their variables and returns the rest.
func (t *typed) flags(known []cli.Flag, args []string) (rest []string, ok bool) {
	for _, f := range known {
		reset(f)
	}
	for len(args) > 0 && isFlag(args[0]) {
		name, value, hasValue := strings.Cut(strings.TrimPrefix(args[0], "-"), "=")
		long, isLong := strings.CutPrefix(name, "-")
		if isLong {
			name = long
		}
		if name == "" || isLong != (len(name) > 1) { // with one dash, letters can be flags each
			return nil, false
		}
		args = args[1:]
		f := find(known, name)
		if f == nil {
			return nil, false
		}
		if _, isBool := f.(*cli.BoolFlag); !isBool && !hasValue {
			if len(args) == 0 || strings.HasPrefix(args[0], "-") {
				return nil, false
			}
			value, args = args[0], args[1:]
		} else if isBool && hasValue {
			return nil, false
		}
		if !t.assign(f, value) {
			return nil, false
		}
	}
	return args, true
}

func find(known []cli.Flag, name string) cli.Flag {
	for _, f := range known {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// reset gives a variable the value that it has without its flag.
func reset(f cli.Flag) {
	switch f := f.(type) {
	case *cli.BoolFlag:
		if f.Destination != nil {
			*f.Destination = f.Value
		}
	case *cli.StringFlag:
		if f.Destination != nil {
			*f.Destination = f.Value
		}
	case *cli.IntFlag:
		if f.Destination != nil {
			*f.Destination = f.Value
		}
	case *cli.StringSliceFlag:
		if f.Destination != nil {
			*f.Destination = slices.Clone(f.Value)
		}
	}
}

// assign gives a flag's variable a value, and reports whether it is as plain as that.
func (t *typed) assign(f cli.Flag, value string) bool {
	name := f.Names()[0]
	list, isList := f.(*cli.StringSliceFlag)
	if t.IsSet(name) && !isList {
		return false
	}
	t.set = append(t.set, name)
	switch f := f.(type) {
	case *cli.BoolFlag:
		if f.Destination == nil {
			return false
		}
		*f.Destination = true
	case *cli.StringFlag:
		if f.Destination == nil {
			return false
		}
		*f.Destination = value
	case *cli.IntFlag:
		n, err := strconv.Atoi(value)
		if err != nil || f.Destination == nil || strconv.Itoa(n) != value {
			return false
		}
		*f.Destination = n
	case *cli.StringSliceFlag:
		if list.Destination == nil || strings.TrimSpace(value) != value || strings.Contains(value, ",") {
			return false
		}
		*list.Destination = append(*list.Destination, value)
	default:
		return false
	}
	return true
}

// words are the arguments behind the flags.
type words []string

func (w words) Get(n int) string {
	if n < 0 || n >= len(w) {
		return ""
	}
	return w[n]
}

func (w words) First() string { return w.Get(0) }

func (w words) Tail() []string {
	if len(w) < 2 {
		return []string{}
	}
	return slices.Clone(w[1:])
}

func (w words) Len() int        { return len(w) }
func (w words) Present() bool   { return len(w) > 0 }
func (w words) Slice() []string { return slices.Clone(w) }
