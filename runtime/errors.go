package runtime

import (
	"fmt"

	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/store"
)

// What callers may test errors for.
var (
	ErrNotFound  = store.ErrNotFound  // container does not exist
	ErrExists    = store.ErrExists    // container with given ID already exists
	ErrInvalidID = store.ErrInvalidID // invalid container ID format
)

// A StepError says which step of making a container failed, and which property of
// config.json asked for it.
type StepError = step.Error

// A Fault is an error that happened in another process; errors.Is finds its errno.
type Fault = step.Fault

// A StateError is an operation that the container's status does not allow. Its text is the
// one that engines match.
type StateError struct {
	ID   string
	Op   string // "start", "delete", ...
	Is   Status
	text string
}

func (e *StateError) Error() string { return e.text }

func stateError(id, op string, is Status, format string, args ...any) error {
	return &StateError{ID: id, Op: op, Is: is, text: fmt.Sprintf(format, args...)}
}
