// Package systemdtest is a systemd for tests: it speaks D-Bus on a socket of its own and
// does with units what a test says, among it all that a real one rarely does.
//
// Messages are read and written by github.com/godbus/dbus, so that the code under test is
// not judged by itself. Nothing but tests may import this package.
package systemdtest

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

// A Server is the manager, and the bus before it.
type Server struct {
	Version      string // "262"
	ControlGroup string // "/"
	Direct       bool   // it is the manager's own socket: no bus, no names
	Refuse       string // the answer to the log-in instead of OK

	// Answer is asked about each call of the manager before the server acts. What it
	// returns, if it is not nil, is done instead.
	Answer func(c *Conn, call Call) Action
	// Started and Stopped are told of units before their jobs end.
	Started func(unit string, properties map[string]any)
	Stopped func(unit string)

	path     string
	mu       sync.Mutex
	calls    []Call
	units    map[string]map[string]any
	states   map[string]string
	jobs     int
	accepted int
}

// An Action answers a call in another way than usual.
type Action func()

// A Call is a call of a method of the manager.
type Call struct {
	Member string
	Body   []any
	msg    *dbus.Message
}

// Unit is the call's first argument, if it is a string.
func (c Call) Unit() string {
	if len(c.Body) > 0 {
		s, _ := c.Body[0].(string)
		return s
	}
	return ""
}

// Start serves until the end of the test. The fields of s must not be changed afterwards but
// with its methods.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.path = filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	if s.Version == "" {
		s.Version = "262.1-1"
	}
	if s.ControlGroup == "" {
		s.ControlGroup = "/"
	}
	s.units, s.states = map[string]map[string]any{}, map[string]string{}
	var group sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			group.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		group.Wait()
	})
}

// Address is the D-Bus address of the server.
func (s *Server) Address() string { return "unix:path=" + s.path }

// Getenv is an environment that names the server for both instances.
func (s *Server) Getenv(name string) string {
	switch name {
	case "DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS":
		return s.Address()
	}
	return ""
}

// Calls are the calls of the manager so far, by name, without those of Get.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, c := range s.calls {
		if c.Member != "Get" {
			names = append(names, c.Member)
		}
	}
	return names
}

// Accepted is the number of connections so far.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Properties are those of a unit that was started and not stopped; nil if there is none.
func (s *Server) Properties(unit string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.units[unit]
}

// SetState puts a unit into a state, such as "failed", in which it stays until it is reset
// or changed.
func (s *Server) SetState(unit, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == "" {
		delete(s.states, unit)
		return
	}
	s.states[unit] = state
}

func (s *Server) serve(nc net.Conn) {
	defer nc.Close()
	s.mu.Lock()
	s.accepted++
	s.mu.Unlock()
	r := bufio.NewReader(nc)
	if !s.login(r, nc) {
		return
	}
	c := &Conn{s: s, c: nc}
	for {
		m, err := dbus.DecodeMessage(r)
		if err != nil {
			return
		}
		c.handle(m)
	}
}

// login is the server's side of the authentication.
func (s *Server) login(r *bufio.Reader, nc net.Conn) bool {
	if b, err := r.ReadByte(); err != nil || b != 0 {
		return false
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		switch line = strings.TrimSuffix(line, "\r\n"); {
		case s.Refuse != "":
			fmt.Fprintf(nc, "%s\r\n", s.Refuse)
			return false
		case line == "AUTH EXTERNAL":
			fmt.Fprint(nc, "DATA\r\n")
		case line == "DATA" || strings.HasPrefix(line, "AUTH EXTERNAL "):
			fmt.Fprint(nc, "OK 1234deadbeef\r\n")
		case line == "BEGIN":
			return true
		default:
			fmt.Fprint(nc, "ERROR\r\n")
		}
	}
}

func (c *Conn) handle(m *dbus.Message) {
	member, _ := m.Headers[dbus.FieldMember].Value().(string)
	call := Call{Member: member, Body: m.Body, msg: m}
	if dest, _ := m.Headers[dbus.FieldDestination].Value().(string); dest == "org.freedesktop.DBus" {
		if c.s.Direct {
			c.Error(call, "org.freedesktop.DBus.Error.UnknownObject", "there is no bus here")
		} else if member == "Hello" {
			c.Reply(call, ":1.7")
			c.Signal("NameAcquired", ":1.7")
		} else {
			c.Reply(call)
		}
		return
	}
	c.s.mu.Lock()
	c.s.calls = append(c.s.calls, call)
	c.s.mu.Unlock()
	if c.s.Answer != nil {
		if action := c.s.Answer(c, call); action != nil {
			action()
			return
		}
	}
	c.manage(call)
}

// manage is what a manager does.
func (c *Conn) manage(call Call) {
	s := c.s
	switch unit := call.Unit(); call.Member {
	case "Get":
		c.get(call)
	case "StartTransientUnit":
		properties, ok := propertiesOf(call.Body[2])
		s.mu.Lock()
		_, taken := s.units[unit]
		_, left := s.states[unit]
		if taken = taken || left; !taken {
			s.units[unit] = properties
		}
		s.mu.Unlock()
		switch {
		case !ok:
			c.Error(call, "org.freedesktop.DBus.Error.InvalidArgs", "no properties")
		case taken:
			c.Error(call, "org.freedesktop.systemd1.UnitExists", "Unit "+unit+" was already loaded or has a fragment file.")
		default:
			if s.Started != nil {
				s.Started(unit, properties)
			}
			c.EndJob(call, c.Job(call), "done")
		}
	case "StopUnit":
		s.mu.Lock()
		_, there := s.units[unit]
		_, left := s.states[unit]
		delete(s.units, unit)
		s.mu.Unlock()
		if !there && !left {
			c.Error(call, "org.freedesktop.systemd1.NoSuchUnit", "Unit "+unit+" not loaded.")
			return
		}
		if s.Stopped != nil {
			s.Stopped(unit)
		}
		c.EndJob(call, c.Job(call), "done")
	case "ResetFailedUnit":
		s.SetState(unit, "")
		c.Reply(call)
	case "SetUnitProperties":
		properties, _ := propertiesOf(call.Body[2])
		s.mu.Lock()
		have, there := s.units[unit]
		for name, v := range properties {
			if there {
				have[name] = v
			}
		}
		s.mu.Unlock()
		if !there {
			c.Error(call, "org.freedesktop.systemd1.NoSuchUnit", "Unit "+unit+" not loaded.")
			return
		}
		c.Reply(call)
	default:
		c.Error(call, "org.freedesktop.DBus.Error.UnknownMethod", "unknown method "+call.Member)
	}
}

func (c *Conn) get(call Call) {
	name, _ := call.Body[1].(string)
	switch name {
	case "Version":
		c.Reply(call, dbus.MakeVariant(c.s.Version))
	case "ControlGroup":
		c.Reply(call, dbus.MakeVariant(c.s.ControlGroup))
	case "ActiveState":
		path, _ := call.msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
		c.s.mu.Lock()
		state := "inactive"
		for unit := range c.s.units {
			if escaped(unit) == string(path) {
				state = "active"
			}
		}
		for unit, s := range c.s.states {
			if escaped(unit) == string(path) {
				state = s
			}
		}
		c.s.mu.Unlock()
		c.Reply(call, dbus.MakeVariant(state))
	default:
		c.Error(call, "org.freedesktop.DBus.Error.UnknownProperty", name)
	}
}

// escaped is the object path of a unit, written anew for the test's sake.
func escaped(unit string) string {
	var b strings.Builder
	b.WriteString("/org/freedesktop/systemd1/unit/")
	for i, r := range []byte(unit) {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' && i > 0 {
			b.WriteByte(r)
		} else {
			fmt.Fprintf(&b, "_%02x", r)
		}
	}
	return b.String()
}

// propertiesOf reads an a(sv). The last of a name counts.
func propertiesOf(v any) (map[string]any, bool) {
	list, ok := v.([][]any)
	properties := map[string]any{}
	for _, p := range list {
		name, isName := p[0].(string)
		value, isVariant := p[1].(dbus.Variant)
		if !isName || !isVariant {
			return nil, false
		}
		properties[name] = value.Value()
	}
	return properties, ok
}
