package tty

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// OwnConsole gives the terminal that a joining process has as its standard streams to the
// user it will be. It is done by the process itself: an ordinary user may do so only inside
// of the user namespace.
type OwnConsole struct{ UID uint32 }

// ControlConsole makes the terminal that the process has as its standard streams its
// controlling terminal.
type ControlConsole struct{}

// Own compiles process.terminal for a process that joins a container. It must stand before
// the change of user and capabilities.
func Own(in *step.Input, emit step.Emit) error {
	if p := in.Process; p != nil && p.Terminal && in.Join != nil && p.User.UID != 0 {
		emit("/process/terminal", OwnConsole{p.User.UID})
	}
	return nil
}

func (s OwnConsole) String() string { return fmt.Sprintf("give the terminal to user %d", s.UID) }

func (ControlConsole) String() string { return "use the terminal" }

// Lower writes the call. The group stays what the devpts gives.
func (s OwnConsole) Lower(in *step.Init) error {
	in.Call(unix.SYS_FCHOWN, 0, s.UID, -1).Labelf("give the terminal to user %d", s.UID)
	return nil
}

// Lower writes the call.
func (ControlConsole) Lower(in *step.Init) error {
	in.Call(unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0).Label("make the terminal the controlling one")
	return nil
}

// rootOf is the container's root as ocirt sees it; nil where that is ocirt itself.
func rootOf(in *step.Input) *Owner {
	uid, isUser := step.HostID(in.Join.UIDs, 0)
	gid, isGroup := step.HostID(in.Join.GIDs, 0)
	if !in.UserNS() || !isUser || !isGroup {
		return nil
	}
	return &Owner{uid, gid}
}

// take makes a terminal that ocirt has opened what it would be if the container's root had:
// the devpts may prescribe a group, else it is the opener's.
func (o *Owner) take(peer *os.File) error {
	st, err := linux.Stat(peer)
	if err != nil {
		return err
	}
	uid, gid := o.UID, -1
	if int(st.Gid) == os.Getegid() {
		gid = o.GID
	}
	if int(st.Uid) == uid && (gid < 0 || int(st.Gid) == gid) {
		return nil
	}
	err = unix.Fchown(int(peer.Fd()), uid, gid)
	if err != nil && !errors.Is(err, unix.EPERM) { // an ordinary user has the one right id already
		return &os.PathError{Op: "fchown", Path: peer.Name(), Err: err}
	}
	return nil
}
