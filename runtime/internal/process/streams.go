package process

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// GiveStreams makes the process's user the owner of its standard streams, as far as they
// are pipes, sockets and terminals: otherwise it could write to them but not open
// /dev/stdout anew. It is done on the host, before init is told to go on. Files and
// devices are left alone, above all the host's /dev/null.
//
// A stream that cannot be given is no error: on a read-only file system, or to a user
// that is not mapped, nobody could.
func GiveStreams(in *step.Input, streams []*os.File) error {
	if in.Process == nil {
		return nil
	}
	uid, ok := hostUID(in, in.Process.User.UID)
	if !ok {
		return nil
	}
	for _, f := range streams {
		st, err := linux.Stat(f)
		if err != nil {
			return err
		}
		if int(st.Uid) == uid || !givable(f, st.Mode) {
			continue
		}
		err = unix.Fchown(int(f.Fd()), uid, -1)
		if err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EROFS) && !errors.Is(err, unix.EINVAL) {
			return &os.PathError{Op: "fchown", Path: f.Name(), Err: err}
		}
	}
	return nil
}

func givable(f *os.File, mode uint32) bool {
	switch mode & unix.S_IFMT {
	case unix.S_IFIFO, unix.S_IFSOCK:
		return true
	case unix.S_IFCHR:
		_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		return err == nil
	}
	return false
}

// hostUID is what a user of the container is to ocirt. It is not known for a user
// namespace that is joined by create.
func hostUID(in *step.Input, uid uint32) (int, bool) {
	if !in.UserNS() {
		return int(uid), true
	}
	if in.Join != nil {
		return step.HostID(in.Join.UIDs, uid)
	}
	return step.HostID(in.Bundle.Spec.Linux.UIDMappings, uid)
}
