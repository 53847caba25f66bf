package runtime

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/store"
	"github.com/ocirt/ocirt/runtime/internal/thread"
)

// A Runtime is a root directory and the containers in it. It may be used by several
// goroutines, and many processes may use the same root.
type Runtime struct {
	root    string
	sticky  bool
	builder string
	warn    func(string)
	cgroups CgroupManager
}

// An Option changes what New makes.
type Option func(*Runtime)

// WithBuilder names an installed ocirt that builds containers with user namespaces, for
// programs that do not want to be executed again.
func WithBuilder(path string) Option { return func(rt *Runtime) { rt.builder = path } }

// WithWarnings gives warnings to f; without it they are dropped.
func WithWarnings(f func(string)) Option { return func(rt *Runtime) { rt.warn = f } }

// WithStickyRoot gives the root directory, when it is made, the sticky bit, which keeps
// those who clean $XDG_RUNTIME_DIR away from it.
func WithStickyRoot() Option { return func(rt *Runtime) { rt.sticky = true } }

// New returns the runtime of a root directory. The directory is made when the first
// container is.
func New(root string, options ...Option) (*Runtime, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("--root: cannot make %q absolute: %w", root, err)
	}
	if abs == "/" {
		return nil, fmt.Errorf("Option --root argument should not be set to /")
	}
	rt := &Runtime{root: abs}
	for _, o := range options {
		o(rt)
	}
	return rt, nil
}

// Init makes this process a builder if it was started as one, and then does not return. A
// program that makes containers with user namespaces calls it first in main.
func Init() {
	thread.GrowStack()
	if !launch.IsBuilder() {
		return
	}
	if err := launch.Serve(); err != nil {
		os.Exit(1) // the parent has the error already
	}
	os.Exit(0)
}

// TrimMemory gives back the memory of this process that can be read from the program's file
// again, for a program that has nothing to do for a while.
func TrimMemory() { linux.DropProgram() }

func (rt *Runtime) warnf(format string, args ...any) {
	if rt.warn != nil {
		rt.warn(fmt.Sprintf(format, args...))
	}
}

// open opens the root; without create it must exist.
func (rt *Runtime) open(create bool) (*store.Root, error) {
	return store.Open(rt.root, store.OpenOptions{Create: create, Sticky: rt.sticky})
}
