package plan

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/hooks"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// RunHostHook runs a hook in ocirt's own namespaces, with the builder waiting.
type RunHostHook struct {
	Kind  string // as config.json calls it
	Index int
}

// RunInnerHook runs a createContainer hook: its path is the host's, its namespaces are the
// container's.
type RunInnerHook struct{ Index int }

// RunInnerHookInNew is RunInnerHook where the container makes a pid namespace: init opens it,
// because nobody else may look at init where a user namespace stands between.
type RunInnerHookInNew struct{ RunInnerHook }

// RunInnerHookInJoined is RunInnerHook where the container joins a pid namespace.
type RunInnerHookInJoined struct {
	RunInnerHook
	Path string
}

// RunHooksPrestart compiles hooks.prestart.
func RunHooksPrestart(in *step.Input, emit step.Emit) error {
	if h := in.Bundle.Spec.Hooks; h != nil {
		//nolint:staticcheck // deprecated by the specification, and still what engines send
		hostHooks("prestart", len(h.Prestart), emit)
	}
	return nil
}

// RunHooksCreateRuntime compiles hooks.createRuntime.
func RunHooksCreateRuntime(in *step.Input, emit step.Emit) error {
	if h := in.Bundle.Spec.Hooks; h != nil {
		hostHooks("createRuntime", len(h.CreateRuntime), emit)
	}
	return nil
}

func hostHooks(kind string, n int, emit step.Emit) {
	for i := range n {
		emit(fmt.Sprintf("/hooks/%s/%d", kind, i), RunHostHook{kind, i})
	}
}

// RunHooksCreateContainer compiles hooks.createContainer.
func RunHooksCreateContainer(in *step.Input, emit step.Emit) error {
	h := in.Bundle.Spec.Hooks
	if h == nil {
		return nil
	}
	pid := in.Namespace(specs.PIDNamespace)
	for i := range h.CreateContainer {
		var s step.Step = RunInnerHook{i}
		switch {
		case pid != nil && pid.Path == "":
			s = RunInnerHookInNew{RunInnerHook{i}}
		case pid != nil:
			s = RunInnerHookInJoined{RunInnerHook{i}, pid.Path}
		}
		emit(fmt.Sprintf("/hooks/createContainer/%d", i), s)
	}
	return nil
}

func (s RunHostHook) String() string  { return fmt.Sprintf("run %s hook %d", s.Kind, s.Index) }
func (s RunInnerHook) String() string { return fmt.Sprintf("run createContainer hook %d", s.Index) }

// Do runs the hook. The state is "creating", as runc has it.
func (s RunHostHook) Do(h *step.Host) error {
	list := hooksOf(h.Input.Bundle.Spec.Hooks, s.Kind)
	if s.Index >= len(list) {
		return fmt.Errorf("bug in ocirt: no %s hook %d", s.Kind, s.Index)
	}
	state := hookState(h.Input, specs.StateCreating, h.Pid)
	return hooks.RunOne(orNever(h.Context), s.Kind, s.Index, list[s.Index], state, hooks.Options{Dir: h.Input.Bundle.Dir})
}

// Undo has nothing to do: what a hook did is undone by a poststop hook.
func (s RunHostHook) Undo(*step.Host) error { return nil }

func hooksOf(h *specs.Hooks, kind string) []specs.Hook {
	if h == nil {
		return nil
	}
	switch kind {
	case "prestart":
		//nolint:staticcheck // deprecated by the specification, and still what engines send
		return h.Prestart
	case "createRuntime":
		return h.CreateRuntime
	}
	return nil
}

// Give opens init's pid namespace.
func (RunInnerHookInNew) Give(p *entry.Program) ([]entry.Slot, error) {
	fd := p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String("/proc/self/ns/pid"), unix.O_RDONLY|unix.O_CLOEXEC, 0).Label("open the pid namespace").Keep()
	return []entry.Slot{fd}, nil
}

// Open opens the pid namespace; that the path is one has been seen before.
func (s RunInnerHookInJoined) Open(*step.Host) ([]*os.File, error) {
	f, err := os.OpenFile(s.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return []*os.File{f}, nil
}

// Do runs the hook from the builder's thread, whose namespaces it inherits; into the pid
// namespace it is born (setns(2): a pid namespace is joined by children).
func (s RunInnerHook) Do(b *step.Sandbox) error {
	in := b.Input
	pid := b.Pid
	if len(b.Files) > 0 {
		leave, err := bearInto(b.Files[0])
		if err != nil {
			return err
		}
		defer leave()
	}
	if in.NewNamespace(specs.PIDNamespace) {
		pid = 1 // as the hook itself sees it
	}
	state := hookState(in, specs.StateCreating, pid)
	hook := in.Bundle.Spec.Hooks.CreateContainer[s.Index]
	// Such hooks add to the root, and with runc they may do so by relative paths.
	return hooks.RunOne(orNever(b.Context), "createContainer", s.Index, hook, state, hooks.Options{Dir: in.Bundle.RootPath(), ForeignPids: len(b.Files) > 0})
}

// orNever is ctx, or one that is never done.
func orNever(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// bearInto makes the children of this thread be born in a pid namespace.
func bearInto(namespace *os.File) (leave func(), err error) {
	own, err := unix.Open("/proc/thread-self/ns/pid", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	leave = func() {
		// Without privileges over the host there is no way back: the thread stays as it is,
		// and dies with the builder, which bears nothing but hooks.
		if unix.Setns(own, unix.CLONE_NEWPID) == nil {
			runtime.UnlockOSThread()
		}
		unix.Close(own)
	}
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWPID); err != nil {
		leave()
		return nil, fmt.Errorf("cannot enter the container's pid namespace: %w", err)
	}
	return leave, nil
}

// hookState is what a hook reads (runtime-spec, runtime, state).
func hookState(in *step.Input, status specs.ContainerState, pid int) *specs.State {
	return &specs.State{
		Version: specs.Version, ID: in.ID, Status: status, Pid: pid,
		Bundle: in.Bundle.Dir, Annotations: in.Bundle.Spec.Annotations,
	}
}
