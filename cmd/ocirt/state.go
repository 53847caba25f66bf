package main

import (
	"context"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
)

func (a *app) stateCommand() *cli.Command {
	return &cli.Command{
		Name: "state", Usage: "print the state of a container as JSON", ArgsUsage: "<container-id>",
		Description: "The status is creating, created, running, paused or stopped; a stopped container has\npid 0.",
		Action: a.onContainer(func(_ context.Context, _ invocation, c *runtime.Container) error {
			s, err := c.State()
			if err != nil {
				return err
			}
			_, err = os.Stdout.Write(append(stateJSON(nil, s, true), '\n'))
			return err
		}),
	}
}

// stateJSON appends a state. It is written by hand because engines ask for it often, and
// a first use of encoding/json on a struct takes longer than all the rest of the command.
func stateJSON(b []byte, s *runtime.State, indent bool) []byte {
	o := object{b: b}
	if indent {
		o.indent = "  "
	}
	o.open()
	o.text("ociVersion", s.OCIVersion)
	o.text("id", s.ID)
	o.raw("pid", strconv.Itoa(s.Pid))
	o.text("status", string(s.Status))
	o.text("bundle", s.Bundle)
	o.text("rootfs", s.Rootfs)
	o.text("created", s.Created.Format(time.RFC3339Nano))
	if len(s.Annotations) > 0 {
		o.key("annotations")
		inner := object{b: o.b, indent: o.indent, depth: o.depth}
		inner.open()
		for _, k := range slices.Sorted(maps.Keys(s.Annotations)) {
			inner.text(k, s.Annotations[k])
		}
		inner.close()
		o.b = inner.b
	}
	o.text("owner", s.Owner)
	o.close()
	return o.b
}

// An object is a JSON object being written.
type object struct {
	b      []byte
	indent string
	depth  int
	filled bool
}

func (o *object) open() { o.b = append(o.b, '{'); o.depth++ }

func (o *object) line() {
	if o.indent == "" {
		return
	}
	o.b = append(o.b, '\n')
	for range o.depth {
		o.b = append(o.b, o.indent...)
	}
}

func (o *object) key(k string) {
	if o.filled {
		o.b = append(o.b, ',')
	}
	o.filled = true
	o.line()
	o.b = append(append(o.b, quoteJSON(k)...), ':')
	if o.indent != "" {
		o.b = append(o.b, ' ')
	}
}

func (o *object) raw(k, v string)  { o.key(k); o.b = append(o.b, v...) }
func (o *object) text(k, v string) { o.key(k); o.b = append(o.b, quoteJSON(v)...) }

func (o *object) close() {
	o.depth--
	o.line()
	o.b = append(o.b, '}')
}
