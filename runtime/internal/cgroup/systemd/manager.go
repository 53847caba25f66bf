package systemd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
)

// Names of the manager and of its answers.
const (
	service   = "org.freedesktop.systemd1"
	object    = "/org/freedesktop/systemd1"
	managerIf = service + ".Manager"
	unitIf    = service + ".Unit"

	errNoSuchUnit = service + ".NoSuchUnit"
	errUnitExists = service + ".UnitExists"
)

// Bounds of what systemd is waited for: the whole way to the manager and back, and the
// job that starts or stops a unit.
const (
	callTime = 25 * time.Second
	jobTime  = 30 * time.Second
)

// A Manager is a connection to an instance of systemd.
type Manager struct {
	Version      int    // 0 if it does not say
	ControlGroup string // what it manages from: "" or "/user.slice/user-1000.slice/user@1000.service"
	User         bool   // it is the user's, not the system's

	conn     *dbus.Conn
	bus      bool // there is a message bus in between
	callTime time.Duration
	jobTime  time.Duration
}

// An Instance says which systemd is meant and how it is reached.
type Instance struct {
	User bool
	// UID is the user's id outside of this process's user namespace; -1: not known.
	UID int
	// EUID is what this process is to those outside; -1 in a user namespace.
	EUID int
	// Getenv is os.Getenv: DBUS_SYSTEM_BUS_ADDRESS, DBUS_SESSION_BUS_ADDRESS, XDG_RUNTIME_DIR.
	Getenv func(string) string
}

// A way to a manager.
type way struct {
	address string
	direct  bool // without a bus: the socket is the manager's own
}

// ways lists where the manager may be reached, best first. What the environment says of the
// bus is believed and nothing else then. Root's way to the system's instance is its own
// socket: it costs half the time of the bus, works while there is no bus yet or any more,
// and does not count against the bus's limit of connections.
func (i Instance) ways() (all []way) {
	bus := func(address string) { all = append(all, way{address: address}) }
	if !i.User {
		if address := i.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); address != "" {
			bus(address)
			return all
		}
		if i.EUID == 0 {
			all = append(all, way{"unix:path=/run/systemd/private", true})
		}
		bus("unix:path=/run/dbus/system_bus_socket")
		return all
	}
	if address := i.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		bus(address)
	}
	dir := i.Getenv("XDG_RUNTIME_DIR")
	if dir == "" && i.UID >= 0 {
		dir = "/run/user/" + strconv.Itoa(i.UID)
	}
	if dir != "" {
		all = append(all, way{"unix:path=" + escapeAddress(dir) + "/systemd/private", true})
		bus("unix:path=" + escapeAddress(dir) + "/bus")
	}
	return all
}

// escapeAddress writes a path as the value of a D-Bus address.
func escapeAddress(path string) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, len(path))
	for i := range len(path) {
		c := path[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte(`-_/\*.`, c) >= 0 {
			out = append(out, c)
		} else {
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(out)
}

// Connect connects to a manager and asks for its version and its cgroup. The error names
// every address that was tried.
func Connect(i Instance) (*Manager, error) {
	ways := i.ways()
	if len(ways) == 0 {
		return nil, errors.New("cannot reach the user's systemd: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set")
	}
	deadline := time.Now().Add(callTime)
	var errs []error
	for _, w := range ways {
		m, err := connect(w, i, deadline)
		if err == nil {
			return m, nil
		}
		errs = append(errs, err)
	}
	text := make([]string, 0, len(errs))
	for _, err := range errs {
		text = append(text, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil, &UnreachableError{User: i.User, why: strings.Join(text, "; ")}
}

// An UnreachableError is why nothing can be asked of systemd.
type UnreachableError struct {
	User bool
	why  string
}

func (e *UnreachableError) Error() string {
	if e.User {
		return "cannot reach the user's systemd: " + e.why
	}
	return "cannot reach systemd: " + e.why
}

func connect(w way, i Instance, deadline time.Time) (*Manager, error) {
	conn, err := dbus.Dial(w.address, dbus.Login{UID: i.EUID, Direct: w.direct}, deadline)
	if err != nil {
		return nil, err
	}
	m := &Manager{User: i.User, conn: conn, bus: !w.direct, callTime: callTime, jobTime: jobTime}
	if err := m.ask(deadline); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", w.address, err)
	}
	return m, nil
}

// ask learns what does not change. The two questions, and the wish to hear of jobs, are
// sent at once.
func (m *Manager) ask(deadline time.Time) error {
	calls := []dbus.Call{get(object, managerIf, "Version"), get(object, managerIf, "ControlGroup")}
	if m.bus {
		calls = append(calls, dbus.Match("type='signal',sender='"+service+"',path='"+object+"',interface='"+managerIf+"',member='JobRemoved'"))
	}
	serials, err := m.conn.Send(deadline, calls...)
	if err != nil {
		return err
	}
	answers := make([]string, 2)
	for n, serial := range serials {
		reply, err := m.conn.Reply(serial, deadline)
		if err != nil {
			return err
		}
		if n >= len(answers) {
			continue
		}
		if answers[n], err = variantString(reply); err != nil {
			return err
		}
	}
	m.Version = parseVersion(answers[0])
	m.ControlGroup = strings.TrimSuffix(answers[1], "/")
	return nil
}

// Close ends the connection.
func (m *Manager) Close() { m.conn.Close() }

func get(path, iface, property string) dbus.Call {
	return dbus.Call{
		Destination: service, Path: path, Interface: "org.freedesktop.DBus.Properties", Member: "Get",
		Body: []dbus.Value{dbus.String(iface), dbus.String(property)},
	}
}

func variantString(m *dbus.Message) (string, error) {
	d, err := m.Body("v")
	if err != nil {
		return "", err
	}
	s := d.VariantString()
	return s, d.End()
}

// parseVersion reads "252.19-1~deb12u1", "v249" or "258~rc1".
func parseVersion(s string) int {
	s = strings.TrimPrefix(s, "v")
	end := strings.IndexFunc(s, func(c rune) bool { return c < '0' || c > '9' })
	if end < 0 {
		end = len(s)
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil {
		return 0
	}
	return n
}

// call calls a method of the manager.
func (m *Manager) call(member string, body ...dbus.Value) (*dbus.Message, error) {
	return m.conn.Call(time.Now().Add(m.callTime), dbus.Call{
		Destination: service, Path: object, Interface: managerIf, Member: member, Body: body,
	})
}

// unitState returns the ActiveState of a unit, such as "active", "failed" or "inactive".
func (m *Manager) unitState(unit string) string {
	reply, err := m.conn.Call(time.Now().Add(m.callTime), get(objectPath(unit), unitIf, "ActiveState"))
	if err != nil {
		return ""
	}
	state, _ := variantString(reply)
	return state
}

// properties are properties as a method takes them, a(sv).
func properties(list []Property) dbus.Array {
	a := dbus.Array{Elem: "(sv)"}
	for _, p := range list {
		a.Items = append(a.Items, dbus.Struct{Fields: []dbus.Value{dbus.String(p.Name), dbus.Variant{Value: p.Value}}})
	}
	return a
}

// SetProperties changes properties of a unit that runs. Systemd writes the files of its
// cgroup by and by.
func (m *Manager) SetProperties(unit string, list []Property) error {
	if len(list) == 0 {
		return nil
	}
	_, err := m.call("SetUnitProperties", dbus.String(unit), dbus.Bool(true), properties(list))
	if err != nil {
		return fmt.Errorf("cannot set %s of %s: %w", names(list), unit, err)
	}
	return nil
}

// Attach moves a process into the cgroup of a unit that is delegated to its maker, or into
// one below it: "/" or "/a/b". If the user's systemd may not, it lets the system's do it.
func (m *Manager) Attach(unit, below string, pid int) error {
	_, err := m.call("AttachProcessesToUnit", dbus.String(unit), dbus.String(below),
		dbus.Array{Elem: "u", Items: []dbus.Value{dbus.Uint32(pid)}})
	if err != nil {
		return fmt.Errorf("cannot put process %d into unit %s: %w", pid, unit, err)
	}
	return nil
}

// Settle returns when systemd has written the files that the last SetProperties is about: it
// does so before it takes the next call.
func (m *Manager) Settle() error {
	_, err := m.conn.Call(time.Now().Add(m.callTime), get(object, managerIf, "Version"))
	return err
}

func names(list []Property) string {
	all := make([]string, 0, len(list))
	for _, p := range list {
		all = append(all, p.Name)
	}
	return strings.Join(all, ", ")
}
