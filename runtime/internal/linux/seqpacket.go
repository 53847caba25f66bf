package linux

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Send sends one message with descriptors over a socket (sendmsg(2), SCM_RIGHTS). A peer
// that has gone is EPIPE, without a signal.
func Send(sock int, b []byte, fds []int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		_, err := unix.SendmsgN(sock, b, rights, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// Receive reads one message of at most size bytes and the descriptors that come with it,
// at most max, which are close-on-exec. At the end of the file it returns no bytes. A
// message that is larger, or carries more, is an error, and none of its descriptors stay
// open.
func Receive(sock, size, max int) ([]byte, []*os.File, error) {
	b := make([]byte, size)
	control := make([]byte, unix.CmsgSpace(4*max))
	for {
		n, cn, flags, _, err := unix.Recvmsg(sock, b, control, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.ECONNRESET) { // the peer went with unread data of ours
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, os.NewSyscallError("recvmsg", err)
		}
		files, err := received(control[:cn])
		if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			err = unix.EMSGSIZE
		}
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, nil, os.NewSyscallError("recvmsg", err)
		}
		return b[:n], files, nil
	}
}

// received takes the descriptors out of control messages.
func received(control []byte) (files []*os.File, err error) {
	if len(control) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}
