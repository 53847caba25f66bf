package hooks

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	// captureLimit is how much of each output stream is kept, from its end.
	captureLimit = 64 << 10

	// defaultDrain is how long output is read on after the hook has exited.
	// What the hook itself wrote is in the pipe by then; only a child it left
	// behind can keep the pipe open.
	defaultDrain = 100 * time.Millisecond

	// killGrace is how long a killed hook has to be gone. SIGKILL is immediate
	// but for a process in uninterruptible sleep, and that may last for ever.
	killGrace = 5 * time.Second
)

// Options says how hooks are run. The zero value runs them as the host's ordinary
// processes, in the current directory.
type Options struct {
	// Dir is the working directory: the bundle, for hooks in the runtime's
	// namespaces. A Starter may do as it likes with it.
	Dir string

	// Drain is how long output is still read after the hook has exited, if a
	// child it left behind keeps the pipe open. 0 means 100 ms.
	Drain time.Duration

	// ForeignPids says that the hook will be born in another pid namespace than the
	// caller's (setns(2)). There it cannot see its parent, so it is not killed when the
	// caller ends without having waited for it.
	ForeignPids bool

	// Start starts the hook's process. nil means [StartProcess].
	Start Starter
}

// Run runs one hook with the given state and waits for it. The error is an
// [*Error] without kind and index.
//
// A cancelled ctx kills the hook, as its timeout does. State is written as one
// line of JSON with the keys of the specification, followed by end of file; a hook
// that does not read it is no error.
func Run(ctx context.Context, h specs.Hook, state *specs.State, opt Options) error {
	// Not "return run(...)": a nil *Error in an error is not a nil error.
	if e := run(ctx, h, encodeState(state), opt); e != nil {
		return e
	}
	return nil
}

// RunAll runs hooks in order and stops at the first that fails. Kind is the name
// of the list in config.json, such as "createRuntime"; it and the hook's index
// are in the error, which is an [*Error].
func RunAll(ctx context.Context, kind string, hooks []specs.Hook, state *specs.State, opt Options) error {
	if len(hooks) == 0 {
		return nil
	}
	input := encodeState(state)
	for i, h := range hooks {
		if e := run(ctx, h, input, opt); e != nil {
			e.Kind, e.Index = kind, i
			return e
		}
	}
	return nil
}

// RunOne is RunAll for the one hook with this index in the list of its kind.
func RunOne(ctx context.Context, kind string, index int, h specs.Hook, state *specs.State, opt Options) error {
	if e := run(ctx, h, encodeState(state), opt); e != nil {
		e.Kind, e.Index = kind, index
		return e
	}
	return nil
}

// RunAllBestEffort runs hooks in order and goes on when one fails, as the
// specification wants it for poststop. It returns all errors, joined, so that the
// caller can warn of each.
func RunAllBestEffort(ctx context.Context, kind string, hooks []specs.Hook, state *specs.State, opt Options) error {
	if len(hooks) == 0 {
		return nil
	}
	input := encodeState(state)
	var all []error
	for i, h := range hooks {
		if e := run(ctx, h, input, opt); e != nil {
			e.Kind, e.Index = kind, i
			all = append(all, e)
		}
	}
	return errors.Join(all...)
}

// run is one hook, from the checks to the last byte of its output.
func run(ctx context.Context, h specs.Hook, input []byte, opt Options) *Error {
	e := &Error{Path: h.Path}
	limit, err := check(h)
	if err != nil {
		e.Err = err
		return e
	}
	if err := context.Cause(ctx); err != nil {
		e.Err = fmt.Errorf("not started: %w", err)
		return e
	}
	pipes, err := openPipes()
	if err != nil {
		e.Err = fmt.Errorf("cannot make pipes: %w", err)
		return e
	}
	defer pipes.close()

	start := opt.Start
	if start == nil {
		// To the kernel the hook's parent is a thread, which must last as long as the hook.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		start = startIn(opt.Dir, !opt.ForeignPids)
	}
	p, err := start(ctx, h, pipes.childIn, pipes.childOut, pipes.childErr)
	// Ours must go whatever happened, or end of file never comes.
	pipes.closeChild()
	if err != nil {
		e.Err = fmt.Errorf("cannot start: %w", err)
		return e
	}
	pipes.begin(input)
	status, err := await(ctx, p, limit)
	drain := opt.Drain
	if drain <= 0 {
		drain = defaultDrain
	}
	stdout, stderr := pipes.finish(drain)
	if err == nil && status.Exited() && status.ExitStatus() == 0 {
		return nil
	}
	e.Err = err
	e.Stdout, e.Stderr = stdout, stderr
	if errors.Is(err, errTimeout) {
		e.TimedOut, e.Timeout, e.Err = true, limit, context.DeadlineExceeded
	}
	e.ExitCode = -1
	switch {
	case status.Exited():
		e.ExitCode = status.ExitStatus()
	case status.Signaled():
		e.Signal = status.Signal()
	}
	return e
}

// check refuses what validation of config.json refuses too, for callers that did
// not validate, and returns the time limit, 0 for none.
func check(h specs.Hook) (time.Duration, error) {
	if h.Path == "" {
		return 0, errors.New("path must not be empty")
	}
	if !filepath.IsAbs(h.Path) {
		return 0, errors.New("path must be absolute")
	}
	if h.Timeout == nil {
		return 0, nil
	}
	n := int64(*h.Timeout)
	if n <= 0 {
		return 0, fmt.Errorf("timeout must be greater than zero, not %d", n)
	}
	if n > math.MaxInt64/int64(time.Second) {
		return 0, nil // beyond 292 years: the same as none
	}
	return time.Duration(n) * time.Second, nil
}

// errTimeout marks that the hook's own time limit ended it.
var errTimeout = errors.New("hook timed out")

// unknown is the status of a process that nobody knows the end of: one that has
// neither exited nor been killed.
const unknown = syscall.WaitStatus(0x7f)

// await waits for the process to end, and kills it when its time is up or ctx is
// done. The status is that of the process, or unknown.
func await(ctx context.Context, p Process, limit time.Duration) (syscall.WaitStatus, error) {
	type result struct {
		status syscall.WaitStatus
		err    error
	}
	done := make(chan result, 1)
	go func() {
		s, err := p.Wait()
		if err != nil {
			s = unknown
		}
		done <- result{s, err}
	}()
	var expired <-chan time.Time
	if limit > 0 {
		t := time.NewTimer(limit)
		defer t.Stop()
		expired = t.C
	}
	var why error
	select {
	case r := <-done:
		if r.err != nil {
			return unknown, fmt.Errorf("cannot wait: %w", r.err)
		}
		return r.status, nil
	case <-expired:
		why = errTimeout
	case <-ctx.Done():
		why = fmt.Errorf("killed: %w", context.Cause(ctx))
	}
	p.Kill()
	grace := time.NewTimer(killGrace)
	defer grace.Stop()
	select {
	case r := <-done:
		return r.status, why
	case <-grace.C:
		return unknown, fmt.Errorf("%w; still there %v after SIGKILL", why, killGrace)
	}
}
