package main

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/ocirt/ocirt/runtime"
)

// each calls do with the id of every container whose id the first argument, a regular
// expression (POSIX extended, found anywhere in the id), matches. It goes on after an
// error; that there is none to match is no error.
func (a *app) each(c invocation, do func(rt *runtime.Runtime, id string) error) error {
	text := c.Args().First()
	ids, err := regexp.CompilePOSIX(text)
	if err != nil {
		return fmt.Errorf("--regex: %q is not a regular expression: %w", text, err)
	}
	rt, err := a.openRuntime()
	if err != nil {
		return err
	}
	states, err := a.states()
	if err != nil {
		return err
	}
	var all error
	for _, s := range states {
		if !ids.MatchString(s.ID) {
			continue
		}
		if err := do(rt, s.ID); err != nil && !errors.Is(err, runtime.ErrNotFound) {
			all = errors.Join(all, fmt.Errorf("%s: %w", s.ID, err))
		}
	}
	return all
}
