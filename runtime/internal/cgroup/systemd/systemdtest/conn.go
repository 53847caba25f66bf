package systemdtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"

	"github.com/godbus/dbus/v5"
)

// A Conn is the server's side of a connection.
type Conn struct {
	s      *Server
	c      net.Conn
	serial uint32
}

// Job answers a call with a new job, and returns it.
func (c *Conn) Job(call Call) dbus.ObjectPath {
	c.s.mu.Lock()
	c.s.jobs++
	job := dbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", c.s.jobs))
	c.s.mu.Unlock()
	c.Reply(call, job)
	return job
}

// EndJob says how a job ended.
func (c *Conn) EndJob(call Call, job dbus.ObjectPath, result string) {
	c.Signal("JobRemoved", uint32(1), job, call.Unit(), result)
}

// Reply answers a call.
func (c *Conn) Reply(call Call, body ...any) {
	c.send(&dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(call.msg.Serial()),
	}, Body: body})
}

// Error answers a call with an error.
func (c *Conn) Error(call Call, name, text string) {
	c.send(&dbus.Message{Type: dbus.TypeError, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(call.msg.Serial()),
		dbus.FieldErrorName:   dbus.MakeVariant(name),
	}, Body: []any{text}})
}

// Signal sends a signal of the manager.
func (c *Conn) Signal(member string, body ...any) {
	c.send(&dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/systemd1")),
		dbus.FieldInterface: dbus.MakeVariant("org.freedesktop.systemd1.Manager"),
		dbus.FieldMember:    dbus.MakeVariant(member),
	}, Body: body})
}

func (c *Conn) send(m *dbus.Message) {
	if len(m.Body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.BigEndian); err != nil { // the other order than ours
		c.Close()
		return
	}
	c.serial++
	binary.BigEndian.PutUint32(b.Bytes()[8:], c.serial)
	c.Raw(b.Bytes())
}

// Raw sends bytes that need not be a message.
func (c *Conn) Raw(b []byte) { _, _ = c.c.Write(b) }

// Close ends the connection.
func (c *Conn) Close() { c.c.Close() }
