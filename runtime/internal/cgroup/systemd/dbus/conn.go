package dbus

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Conn is a connection to a message bus, or to a service that is spoken to directly. It
// is for one goroutine.
type Conn struct {
	fd      int
	serial  uint32
	in      []byte     // what has come and is not a whole message yet
	waiting []*Message // what has come and was not asked for yet
}

// maxWaiting bounds what is kept for later: a bus that floods us does not fill our memory.
const maxWaiting = 1024

// Login says who is speaking.
type Login struct {
	// UID is the user id of this process as the other side sees it, or -1 to let the other
	// side ask the kernel, which is needed in a user namespace and which services of before
	// 2016 do not know.
	UID int
	// Direct: there is no bus, the other side is the service itself.
	Direct bool
}

// Dial connects to the first address of a list (such as "unix:path=/run/dbus/system_bus_socket")
// that answers, logs in and, on a bus, gets a name. Nothing is waited for beyond deadline.
func Dial(addresses string, who Login, deadline time.Time) (*Conn, error) {
	var errs []error
	for address := range strings.SplitSeq(addresses, ";") {
		name, err := parseAddress(address)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c, err := dial(name, who, deadline)
		if err == nil {
			return c, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", strings.Replace(name, "\x00", "@", 1), err))
	}
	return nil, errors.Join(errs...)
}

// parseAddress returns the name of a Unix socket: a path, or NUL and an abstract name.
func parseAddress(address string) (string, error) {
	rest, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return "", fmt.Errorf("address %q: only unix sockets are supported", address)
	}
	for pair := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(pair, "=")
		if key != "path" && key != "abstract" {
			continue
		}
		value, err := unescape(value)
		if err != nil || value == "" || strings.Contains(value, "\x00") {
			return "", fmt.Errorf("address %q: malformed", address)
		}
		if key == "abstract" {
			value = "\x00" + value
		}
		return value, nil
	}
	return "", fmt.Errorf("address %q: neither path nor abstract name", address)
}

// unescape undoes %xx.
func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", strconv.ErrSyntax
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", err
		}
		out = append(out, byte(n))
		i += 2
	}
	return string(out), nil
}

func dial(name string, who Login, deadline time.Time) (_ *Conn, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &Conn{fd: fd}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if err := c.connect(name, deadline); err != nil {
		return nil, connectError{err}
	}
	if err := c.login(who, deadline); err != nil {
		return nil, fmt.Errorf("cannot log in: %w", err)
	}
	return c, nil
}

// A connectError is why there is no connection. The words of the kernel for it are those that
// engines take for a missing or forbidden program of the container.
type connectError struct{ errno error }

func (e connectError) Error() string {
	switch {
	case errors.Is(e.errno, unix.ENOENT):
		return "the socket is missing"
	case errors.Is(e.errno, unix.EACCES), errors.Is(e.errno, unix.EPERM):
		return "the socket is not for this user"
	case errors.Is(e.errno, unix.ECONNREFUSED):
		return "nobody listens"
	}
	return "cannot connect: " + e.errno.Error()
}

func (e connectError) Unwrap() error { return e.errno }

// connect tries again while the peer's queue is full, which a Unix socket that does not
// block says with EAGAIN.
func (c *Conn) connect(name string, deadline time.Time) error {
	addr := &unix.SockaddrUnix{Name: name}
	if name[0] == 0 {
		addr.Name = "@" + name[1:]
	}
	for {
		err := unix.Connect(c.fd, addr)
		switch {
		case err == nil || err == unix.EISCONN:
			return nil
		case err != unix.EAGAIN && err != unix.EINTR:
			return err
		case time.Now().After(deadline):
			return unix.ETIMEDOUT
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Close ends the connection.
func (c *Conn) Close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}

// login authenticates with the socket's own credentials (EXTERNAL). All of it is sent at
// once, the request for a name, too: the other side needs no answer in between.
func (c *Conn) login(who Login, deadline time.Time) error {
	first := "\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
	if who.UID >= 0 {
		first = "\x00AUTH EXTERNAL " + hexDigits(strconv.Itoa(who.UID)) + "\r\nBEGIN\r\n"
	}
	out := []byte(first)
	var hello uint32
	if !who.Direct {
		c.serial++
		hello = c.serial
		out = append(out, (&Call{Destination: busName, Path: busPath, Interface: busName, Member: "Hello"}).encode(hello)...)
	}
	if err := c.write(out, deadline); err != nil {
		return err
	}
	for {
		line, err := c.line(deadline)
		if err != nil {
			return err
		}
		word, _, _ := strings.Cut(line, " ")
		if word == "DATA" {
			continue
		}
		if word != "OK" {
			return fmt.Errorf("the other side answers %q", line)
		}
		break
	}
	if who.Direct {
		return nil
	}
	_, err := c.Reply(hello, deadline)
	return err
}

// The bus itself.
const (
	busName = "org.freedesktop.DBus"
	busPath = "/org/freedesktop/DBus"
)

func hexDigits(s string) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		out = append(out, digits[s[i]>>4], digits[s[i]&15])
	}
	return string(out)
}

// line reads a line of the authentication.
func (c *Conn) line(deadline time.Time) (string, error) {
	for {
		if line, rest, ok := strings.Cut(string(c.in), "\r\n"); ok {
			c.in = []byte(rest)
			return line, nil
		}
		if len(c.in) > 4096 {
			return "", errMalformed("a line without an end")
		}
		if err := c.read(deadline); err != nil {
			return "", err
		}
	}
}

// wait waits until the socket is ready.
func (c *Conn) wait(events int16, deadline time.Time) error {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return ErrTimeout
		}
		fds := []unix.PollFd{{Fd: int32(c.fd), Events: events}}
		n, err := unix.Poll(fds, int(min(left, time.Hour)/time.Millisecond)+1)
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		if n > 0 {
			return nil
		}
	}
}

// read appends what has come to c.in.
func (c *Conn) read(deadline time.Time) error {
	buf := make([]byte, 8<<10)
	for {
		n, err := unix.Read(c.fd, buf)
		switch {
		case n > 0:
			c.in = append(c.in, buf[:n]...)
			return nil
		case err == nil:
			return ErrClosed
		case err == unix.EAGAIN:
			if err := c.wait(unix.POLLIN, deadline); err != nil {
				return err
			}
		case err != unix.EINTR:
			return os.NewSyscallError("read", err)
		}
	}
}

func (c *Conn) write(b []byte, deadline time.Time) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(c.fd, b, nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			b = b[n:]
		case err == unix.EAGAIN:
			if err := c.wait(unix.POLLOUT, deadline); err != nil {
				return err
			}
		case err == unix.EPIPE:
			return ErrClosed
		case err != unix.EINTR:
			return os.NewSyscallError("sendmsg", err)
		}
	}
	return nil
}

// message reads a whole message.
func (c *Conn) message(deadline time.Time) (*Message, error) {
	for {
		n, err := size(c.in)
		if err != nil {
			return nil, err
		}
		if n > 0 && len(c.in) >= n {
			m, err := parse(c.in[:n:n])
			c.in = c.in[n:]
			return m, err
		}
		if err := c.read(deadline); err != nil {
			return nil, err
		}
	}
}

// Send sends calls, without waiting for answers, and returns the numbers to ask for them.
func (c *Conn) Send(deadline time.Time, calls ...Call) ([]uint32, error) {
	var out []byte
	serials := make([]uint32, 0, len(calls))
	for i := range calls {
		c.serial++
		serials = append(serials, c.serial)
		out = append(out, calls[i].encode(c.serial)...)
	}
	if err := c.write(out, deadline); err != nil {
		return nil, err
	}
	return serials, nil
}

// Reply waits for the answer to a call. If it is an error it is an [Error].
func (c *Conn) Reply(serial uint32, deadline time.Time) (*Message, error) {
	m, err := c.next(deadline, func(m *Message) bool {
		return (m.kind == methodReturn || m.kind == methodError) && m.reply == serial
	})
	if err != nil {
		return nil, err
	}
	return m, m.err()
}

// Call makes one call and waits for its answer.
func (c *Conn) Call(deadline time.Time, call Call) (*Message, error) {
	serials, err := c.Send(deadline, call)
	if err != nil {
		return nil, err
	}
	return c.Reply(serials[0], deadline)
}

// Signal waits for a signal, or takes one that has come already.
func (c *Conn) Signal(deadline time.Time, wanted func(*Message) bool) (*Message, error) {
	return c.next(deadline, func(m *Message) bool { return m.kind == signal && wanted(m) })
}

// next returns the first message that is wanted and keeps the others.
func (c *Conn) next(deadline time.Time, wanted func(*Message) bool) (*Message, error) {
	for i, m := range c.waiting {
		if wanted(m) {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return m, nil
		}
	}
	for {
		m, err := c.message(deadline)
		if err != nil {
			return nil, err
		}
		if wanted(m) {
			return m, nil
		}
		if m.kind == methodCall {
			continue // nobody has reason to call us
		}
		if len(c.waiting) == maxWaiting {
			return nil, errMalformed("too many that nobody asked for")
		}
		c.waiting = append(c.waiting, m)
	}
}

// Match is the call that asks a bus for signals.
func Match(rule string) Call {
	return Call{Destination: busName, Path: busPath, Interface: busName, Member: "AddMatch", Body: []Value{String(rule)}}
}
