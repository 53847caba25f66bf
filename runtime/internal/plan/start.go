package plan

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// WaitForGo makes init report that it is ready and wait until somebody starts it.
type WaitForGo struct{}

// WaitForStart compiles the border between create and start: what stands before it fails
// in create, what stands after it fails in start.
func WaitForStart(_ *step.Input, emit step.Emit) error {
	emit("ocirt", WaitForGo{})
	return nil
}

func (WaitForGo) String() string { return "wait for start" }

// Lower writes a loop: accept a connection on the start socket, and take one byte from it.
// A peer that hangs up before init has taken the byte (a start that was killed, or has given
// up waiting) is forgotten, and the next is waited for. From the byte on, failures are reported to that peer; it sees the end
// of file when execve closes the connection.
//
// The descriptor of the report is closed at the top of the loop: the first time it is the
// socket to create, later the connection of the peer that hung up.
func (WaitForGo) Lower(in *step.Init) error {
	if alone(in.Input) {
		// After the last change of ids and capabilities, which would undo it.
		in.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1).Label("become dumpable")
	}
	if in.Ready == (entry.Note{}) {
		in.Ready = in.Note()
	}
	in.TellNote(ReadyLabel, in.Ready)
	// The peer records who waits here before it says so: a process that nobody can find
	// must not outlive it.
	in.Wait("wait to be recorded")
	byteAt := in.Bytes(make([]byte, 8))
	again := in.Call(unix.SYS_CLOSE, in.Report()).Label("close the socket").May()
	in.Call(unix.SYS_ACCEPT4, in.Listener, 0, 0, unix.SOCK_CLOEXEC).Label("accept the connection of start").KeepIn(in.Report())
	in.Call(unix.SYS_RECVFROM, in.Report(), byteAt, 1, 0, 0, 0).Label("wait for start").ElseBack(again)
	in.Call(unix.SYS_RECVFROM, in.Report(), byteAt, 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0).Label("see that start is still there").May(unix.EAGAIN).ElseBack(again)
	return nil
}

// alone reports whether an ordinary user's container has namespaces that nobody else is in
// yet. Then its init may be looked at, and must be: its user's start hooks, exec and tools
// find the namespaces only through a dumpable process.
func alone(in *step.Input) bool {
	if in.Facts.EUID == 0 || !in.NewNamespace(specs.UserNamespace) {
		return false
	}
	for _, n := range in.Bundle.Spec.Linux.Namespaces {
		if n.Path != "" {
			return false
		}
	}
	return true
}

// ReadyLabel is the label of the call by which init says that it waits for start.
const ReadyLabel = "report that init is ready"
