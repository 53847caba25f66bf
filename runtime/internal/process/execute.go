package process

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// CloseRest marks every descriptor that is not the container's to be closed by execve. The
// last of them is the one over which init says why execve did not work.
type CloseRest struct{ Keep int }

// CloseFiles compiles what every process of a container needs. It stands before a filter
// that is loaded last.
func CloseFiles(in *step.Input, emit step.Emit) error {
	if in.Process != nil {
		emit("ocirt", CloseRest{in.KeepFDs()})
	}
	return nil
}

func (s CloseRest) String() string {
	return "close all descriptors but the first " + itoa(s.Keep)
}

// maxFiles is how many descriptors init is started with at most, beside the container's.
const maxFiles = 48

// Lower writes the calls. Linux before 5.11 cannot mark a range, and an outer filter may
// not know close_range; then those that init was started with are marked one by one. The
// others were close-on-exec from their first moment. The number of calls is always the
// same, so that a failure can be found by counting from the end.
func (s CloseRest) Lower(i *step.Init) error {
	marked := i.Place()
	i.Call(unix.SYS_CLOSE_RANGE, s.Keep, uint64(math.MaxUint32), unix.CLOSE_RANGE_CLOEXEC).
		May(unix.EINVAL, unix.ENOSYS, unix.EPERM).Label("mark descriptors").OnZero(marked)
	if i.Base()+len(i.Files()) > s.Keep+maxFiles {
		return fmt.Errorf("bug in ocirt: init is started with %d descriptors", i.Base()+len(i.Files()))
	}
	for fd := s.Keep; fd < s.Keep+maxFiles; fd++ {
		i.Call(unix.SYS_FCNTL, fd, unix.F_SETFD, unix.FD_CLOEXEC).May(unix.EBADF).Label("mark a descriptor")
	}
	marked.Here()
	return nil
}

// RunProgram executes the container's program: the end of everything of ours.
type RunProgram struct {
	Args []string
	Env  []string
	Home bool // add HOME=, which the builder looks up
}

// Execute compiles process.args and process.env.
func Execute(in *step.Input, emit step.Emit) error {
	if in.Process == nil {
		return nil
	}
	env := environment(in)
	_, home := getenv(env, "HOME")
	emit("/process/args", RunProgram{Args: slices.Clone(in.Process.Args), Env: env, Home: !home})
	return nil
}

func (s RunProgram) String() string { return "execute " + words(s.Args) }

// Lower writes the call.
func (s RunProgram) Lower(i *step.Init) error {
	var more []entry.Addr
	if s.Home {
		more = append(more, i.Home)
	}
	name := ""
	if len(s.Args) > 0 {
		name = s.Args[0]
	}
	i.Call(unix.SYS_EXECVE, i.Exec, i.Strings(s.Args), i.Strings(s.Env, more...)).Label("exec " + word(name))
	return nil
}
