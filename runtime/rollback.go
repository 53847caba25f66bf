package runtime

import (
	"context"
	"errors"
	"fmt"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// blameContext adds to an error that the call was given up, unless that is said already.
func blameContext(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil && !errors.Is(err, why) {
		return fmt.Errorf("%w: %w", err, why)
	}
	return err
}

// rollBack undoes what a failed Create did. Its own failures are added to the error, and
// then the record stays, so that delete can try again. That ctx is done does not stop it.
func (m *making) rollBack(ctx context.Context, cause error) error {
	givenUp := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	m.pidFile.remove()
	if m.host != nil && len(m.host.Made) > 0 {
		cause = blameLimits(loadGroup(&m.rec.Cgroup, m.rec.Cgroup.Paths), cause)
	}
	err := m.undo()
	if err == nil {
		err = m.dir.Remove()
	}
	m.dir.Close()
	m.root.Close()
	if hookErr := poststop(ctx, m.input.Bundle, m.input.ID, reachedHooks(cause)); hookErr != nil {
		m.rt.warnf("%v", hookErr)
	}
	if err != nil && givenUp {
		m.rt.warnf("cannot undo: %v", err) // a caller who has given up asks for no more errors
	}
	if err != nil {
		return errors.Join(cause, fmt.Errorf("cannot undo: %w", err))
	}
	return cause
}

// undo undoes the steps of the host section, last first.
func (m *making) undo() error {
	var errs []error
	for i := len(m.plan.Host) - 1; i >= 0; i-- {
		if s, ok := m.plan.Host[i].Step.(step.HostStep); ok {
			errs = append(errs, s.Undo(m.host))
		}
	}
	return errors.Join(errs...)
}

// reachedHooks reports whether the runtime's hooks had their turn: then poststop hooks run
// (runtime-spec, runtime, lifecycle 3 to 5).
func reachedHooks(cause error) bool {
	var e *StepError
	return errors.As(cause, &e) && (e.Where == "builder" || len(e.From) > 6 && e.From[:6] == "/hooks")
}
