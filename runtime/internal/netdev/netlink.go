package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// A conn is a routing netlink socket (rtnetlink(7)): of the network namespace that it was
// opened in, wherever it is used. The half dozen requests that moving a device takes do
// not pay for a package that knows all of netlink: it would cost each command its start.
type conn struct {
	fd  int
	seq uint32
}

func dial() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return &conn{fd: fd}, nil
}

// dialIn opens a socket in another network namespace.
func dialIn(netns *os.File) (_ *conn, err error) {
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer own.Close()
	if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("cannot enter the network namespace: %w", err)
	}
	c, err := dial()
	if backErr := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); backErr != nil {
		// Nothing may run on this thread any more; it ends with its goroutine.
		c.close()
		return nil, fmt.Errorf("cannot leave the network namespace: %w", backErr)
	}
	runtime.UnlockOSThread()
	return c, err
}

func (c *conn) close() {
	if c != nil {
		unix.Close(c.fd)
	}
}

// An attr is a type, a length and a value, padded to four bytes (struct rtattr).
type attr struct {
	kind  uint16
	value []byte
}

func text(kind uint16, s string) attr { return attr{kind, append([]byte(s), 0)} }

func number(kind uint16, n uint32) attr { return attr{kind, binary.NativeEndian.AppendUint32(nil, n)} }

func appendAttrs(b []byte, attrs ...attr) []byte {
	ne := binary.NativeEndian
	for _, a := range attrs {
		b = ne.AppendUint16(b, uint16(4+len(a.value)))
		b = ne.AppendUint16(b, a.kind)
		b = append(b, a.value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

var errMalformed = errors.New("malformed netlink message")

func parseAttrs(b []byte) ([]attr, error) {
	var list []attr
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if n < 4 || n > len(b) {
			return nil, errMalformed
		}
		list = append(list, attr{kind, b[4:n]})
		b = b[min((n+3)&^3, len(b)):]
	}
	return list, nil
}

// errChanged is the end of a dump that the kernel knows to be wrong, because what it tells
// of was changed meanwhile.
var errChanged = errors.New("the list changed while it was read")

// tries is how often a dump is begun.
const tries = 10

// ask makes a request, and calls each for every message of the answer.
func (c *conn) ask(kind, flags uint16, body []byte, each func(body []byte) error) error {
	for range tries {
		if err := c.once(kind, flags, body, each); !errors.Is(err, errChanged) {
			return err
		}
	}
	return errChanged
}

func (c *conn) once(kind, flags uint16, body []byte, each func(body []byte) error) error {
	const header = unix.SizeofNlMsghdr
	c.seq++
	ne := binary.NativeEndian
	b := ne.AppendUint32(nil, uint32(header+len(body)))
	b = ne.AppendUint16(b, kind)
	b = ne.AppendUint16(b, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	b = ne.AppendUint32(b, c.seq)
	b = ne.AppendUint32(b, 0)
	b = append(b, body...)
	if err := unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	changed := false
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(c.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue // not the kernel
		}
		done, err := c.answer(buf[:n], each, &changed)
		if err == nil && done && changed {
			err = errChanged
		}
		if done || err != nil {
			return err
		}
	}
}

// answer reads the messages of one datagram.
func (c *conn) answer(b []byte, each func([]byte) error, changed *bool) (done bool, err error) {
	ne := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		n, kind, flags, seq := int(ne.Uint32(b)), ne.Uint16(b[4:]), ne.Uint16(b[6:]), ne.Uint32(b[8:])
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return true, errMalformed
		}
		body := b[unix.SizeofNlMsghdr:n]
		b = b[min((n+3)&^3, len(b)):]
		if seq != c.seq {
			continue // of a request that was given up
		}
		*changed = *changed || flags&unix.NLM_F_DUMP_INTR != 0
		switch kind {
		case unix.NLMSG_ERROR, unix.NLMSG_DONE:
			if len(body) < 4 {
				return true, errMalformed
			}
			if errno := -int32(ne.Uint32(body)); errno != 0 {
				return true, syscall.Errno(errno)
			}
			return true, nil
		}
		if each != nil {
			if err := each(body); err != nil {
				return true, err
			}
		}
	}
	return false, nil
}
