package systemd

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/systemdtest"
)

// connected starts a systemd and connects to it, with little patience.
func connected(t *testing.T, s *systemdtest.Server) *Manager {
	t.Helper()
	s.Start(t)
	m, err := Connect(Instance{EUID: os.Geteuid(), UID: os.Geteuid(), Getenv: s.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	m.callTime, m.jobTime = 300*time.Millisecond, 600*time.Millisecond
	return m
}

func TestConnectAsksForVersionAndCgroup(t *testing.T) {
	for _, c := range []struct {
		version, group string
		wantVersion    int
		wantGroup      string
	}{
		{"262.1-1", "/", 262, ""},
		{"v249", "", 249, ""},
		{"258~rc1", "/user.slice/user-1000.slice/user@1000.service", 258, "/user.slice/user-1000.slice/user@1000.service"},
		{"unknown", "/init/", 0, "/init"},
	} {
		for _, euid := range []int{os.Geteuid(), -1} { // -1: the kernel says who we are
			s := &systemdtest.Server{Version: c.version, ControlGroup: c.group}
			s.Start(t)
			m, err := Connect(Instance{EUID: euid, User: true, Getenv: s.Getenv})
			if err != nil {
				t.Fatal(err)
			}
			m.Close()
			if m.Version != c.wantVersion || c.group != "" && m.ControlGroup != c.wantGroup || !m.User {
				t.Errorf("version %d, group %q, user %v of %+v", m.Version, m.ControlGroup, m.User, c)
			}
		}
	}
}

func TestConnectToTheManagersOwnSocket(t *testing.T) {
	s := &systemdtest.Server{Direct: true}
	s.Start(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "systemd"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(strings.TrimPrefix(s.Address(), "unix:path="), filepath.Join(dir, "systemd", "private")); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"XDG_RUNTIME_DIR": dir}
	m, err := Connect(Instance{User: true, EUID: os.Geteuid(), Getenv: func(k string) string { return env[k] }})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Start("a.scope", nil); err != nil {
		t.Error(err)
	}
}

func TestWaysToTheManager(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(k string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == k {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	const private = "unix:path=/run/systemd/private"
	for _, c := range []struct {
		name string
		i    Instance
		want []way
	}{
		{"root", Instance{EUID: 0, Getenv: env()}, []way{{private, true}, {"unix:path=/run/dbus/system_bus_socket", false}}},
		{"root, told", Instance{EUID: 0, Getenv: env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/x")}, []way{{"unix:path=/x", false}}},
		{"root of a container", Instance{EUID: -1, Getenv: env()}, []way{{"unix:path=/run/dbus/system_bus_socket", false}}},
		{"user, nothing known", Instance{User: true, UID: -1, Getenv: env()}, nil},
		{"user by id", Instance{User: true, UID: 7, Getenv: env()}, []way{{"unix:path=/run/user/7/systemd/private", true}, {"unix:path=/run/user/7/bus", false}}},
		{"user by environment", Instance{User: true, UID: 7, Getenv: env("DBUS_SESSION_BUS_ADDRESS", "unix:abstract=x", "XDG_RUNTIME_DIR", "/r d")}, []way{
			{"unix:abstract=x", false}, {"unix:path=/r%20d/systemd/private", true}, {"unix:path=/r%20d/bus", false},
		}},
	} {
		if got := c.i.ways(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %v\nwant %v", c.name, got, c.want)
		}
	}
}

func TestNoManager(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	env := func(k string) string {
		if k == "DBUS_SYSTEM_BUS_ADDRESS" {
			return "tcp:host=x;unix:path=" + missing
		}
		return ""
	}
	_, err := Connect(Instance{Getenv: env})
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"cannot reach systemd", "only unix sockets", missing, "the socket is missing"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %q", want, err)
		}
	}
	if _, err := Connect(Instance{User: true, UID: -1, Getenv: func(string) string { return "" }}); err == nil ||
		!strings.Contains(err.Error(), "XDG_RUNTIME_DIR") {
		t.Errorf("error %v", err)
	}
}

func TestRefusedLogin(t *testing.T) {
	s := &systemdtest.Server{Refuse: "REJECTED EXTERNAL"}
	s.Start(t)
	_, err := Connect(Instance{EUID: 0, Getenv: s.Getenv})
	if err == nil || !strings.Contains(err.Error(), "cannot log in") || !strings.Contains(err.Error(), "REJECTED") {
		t.Errorf("error %v", err)
	}
}

func TestStartSendsProperties(t *testing.T) {
	s := &systemdtest.Server{}
	m := connected(t, s)
	want := map[string]any{
		"Description": "a container", "Delegate": true, "PIDs": []uint32{7, 70000}, "MemoryMax": uint64(1) << 40,
		"AllowedCPUs": []byte{5, 1}, "Wants": []string{"a.slice", "b.slice"}, "Nothing": []string{},
		"DeviceAllow": [][]any{{"/dev/char/1:3", "rwm"}, {"char-*", "m"}}, "Ratio": 0.5, "Small": int16(-3), "Byte": byte(9),
		"Path": "/a/b", "Entries": map[string]uint64{"a": 1},
	}
	err := m.Start("x.scope", []Property{
		{"Description", dbus.String("a container")},
		{"Delegate", dbus.Bool(true)},
		{"PIDs", dbus.Array{Elem: "u", Items: []dbus.Value{dbus.Uint32(7), dbus.Uint32(70000)}}},
		{"MemoryMax", dbus.Uint64(1 << 40)},
		{"AllowedCPUs", dbus.Bytes([]byte{5, 1})},
		{"Wants", dbus.Strings("a.slice", "b.slice")},
		{"Nothing", dbus.Strings()},
		{"DeviceAllow", dbus.Array{Elem: "(ss)", Items: []dbus.Value{
			dbus.Struct{Fields: []dbus.Value{dbus.String("/dev/char/1:3"), dbus.String("rwm")}},
			dbus.Struct{Fields: []dbus.Value{dbus.String("char-*"), dbus.String("m")}},
		}}},
		{"Ratio", dbus.Double(0.5)},
		{"Small", dbus.Int16(-3)},
		{"Byte", dbus.Byte(9)},
		{"Path", dbus.String("/a/b")},
		{"Entries", dbus.Array{Elem: "{st}", Items: []dbus.Value{dbus.Struct{Entry: true, Fields: []dbus.Value{dbus.String("a"), dbus.Uint64(1)}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := s.Properties("x.scope")
	for name, v := range want {
		if !reflect.DeepEqual(got[name], v) {
			t.Errorf("%s is %#v, not %#v", name, got[name], v)
		}
	}
	if err := m.SetProperties("x.scope", []Property{{"MemoryMax", dbus.Uint64(5)}}); err != nil {
		t.Fatal(err)
	}
	if got := s.Properties("x.scope")["MemoryMax"]; got != uint64(5) {
		t.Errorf("MemoryMax is %v", got)
	}
	if err := m.Stop("x.scope"); err != nil || s.Properties("x.scope") != nil {
		t.Errorf("error %v, left %v", err, s.Properties("x.scope"))
	}
	if err := m.Stop("x.scope"); err != nil {
		t.Errorf("a unit that is gone: %v", err)
	}
}

// A scene is a systemd that answers one method in its own way.
func scene(member string, do func(c *systemdtest.Conn, call systemdtest.Call)) *systemdtest.Server {
	return &systemdtest.Server{Answer: func(c *systemdtest.Conn, call systemdtest.Call) systemdtest.Action {
		if call.Member != member {
			return nil
		}
		return func() { do(c, call) }
	}}
}

func TestStartHearsOnlyItsOwnJob(t *testing.T) {
	m := connected(t, scene("StartTransientUnit", func(c *systemdtest.Conn, call systemdtest.Call) {
		c.Signal("JobRemoved", uint32(9), "/org/freedesktop/systemd1/job/9", call.Unit(), "failed") // not an object path
		c.Signal("UnitNew", call.Unit())
		job := c.Job(call)
		c.EndJob(call, "/org/freedesktop/systemd1/job/77", "failed")
		c.EndJob(call, job, "done")
	}))
	if err := m.Start("x.scope", nil); err != nil {
		t.Error(err)
	}
}

func TestStartFailures(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(c *systemdtest.Conn, call systemdtest.Call)
		want string
	}{
		{"job failed", func(c *systemdtest.Conn, call systemdtest.Call) { c.EndJob(call, c.Job(call), "failed") }, `the job ended with "failed"`},
		{"no end of the job", func(c *systemdtest.Conn, call systemdtest.Call) { c.Job(call) }, errJobTime.Error()},
		{"no answer", func(*systemdtest.Conn, systemdtest.Call) {}, dbus.ErrTimeout.Error()},
		{"denied", func(c *systemdtest.Conn, call systemdtest.Call) {
			c.Error(call, "org.freedesktop.DBus.Error.AccessDenied", "not you")
		}, "not you (org.freedesktop.DBus.Error.AccessDenied)"},
		{"another answer", func(c *systemdtest.Conn, call systemdtest.Call) { c.Reply(call, uint32(5)) }, `type "u", not "o"`},
		{"empty answer", func(c *systemdtest.Conn, call systemdtest.Call) { c.Reply(call) }, `type "", not "o"`},
		{"gone", func(c *systemdtest.Conn, _ systemdtest.Call) { c.Close() }, dbus.ErrClosed.Error()},
		{"gone before the end of the job", func(c *systemdtest.Conn, call systemdtest.Call) { c.Job(call); c.Close() }, dbus.ErrClosed.Error()},
		{"rubbish", func(c *systemdtest.Conn, _ systemdtest.Call) { c.Raw([]byte(strings.Repeat("x", 64))) }, "malformed message"},
		{"a message without end", func(c *systemdtest.Conn, _ systemdtest.Call) {
			c.Raw([]byte("l\x02\x00\x01\xff\xff\xff\x7f\x01\x00\x00\x00\x00\x00\x00\x00"))
		}, "malformed message: too long"},
		{"a bad header", func(c *systemdtest.Conn, _ systemdtest.Call) {
			c.Raw([]byte("l\x02\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00\x01\x01z\x00\x00\x00\x00\x00"))
		}, "malformed message: header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := connected(t, scene("StartTransientUnit", c.do))
			begin := time.Now()
			err := m.Start("x.scope", nil)
			if err == nil || !strings.Contains(err.Error(), "cannot start unit x.scope") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestFloodIsBounded(t *testing.T) {
	m := connected(t, scene("StartTransientUnit", func(c *systemdtest.Conn, call systemdtest.Call) {
		for range 2000 {
			c.Signal("UnitNew", call.Unit())
		}
	}))
	m.callTime = 10 * time.Second
	if err := m.Start("x.scope", nil); err == nil || !strings.Contains(err.Error(), "nobody asked for") {
		t.Errorf("error %v", err)
	}
}

func TestFailedLeftoverIsReset(t *testing.T) {
	s := &systemdtest.Server{}
	m := connected(t, s)
	s.SetState("x.scope", "failed")
	if err := m.Start("x.scope", nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"}
	if got := s.Calls(); !slices.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
}

func TestUnitThatIsBeingStoppedIsWaitedFor(t *testing.T) {
	s := &systemdtest.Server{}
	m := connected(t, s)
	s.SetState("x.scope", "deactivating")
	time.AfterFunc(50*time.Millisecond, func() { s.SetState("x.scope", "") })
	if err := m.Start("x.scope", nil); err != nil {
		t.Error(err)
	}
}

func TestLivingUnitIsLeftAlone(t *testing.T) {
	s := &systemdtest.Server{}
	m := connected(t, s)
	if err := m.Start("x.scope", nil); err != nil {
		t.Fatal(err)
	}
	var exists *ExistsError
	if err := m.Start("x.scope", nil); !errors.As(err, &exists) || exists.State != "active" {
		t.Errorf("error %v", err)
	}
	if got := s.Calls(); slices.Contains(got, "ResetFailedUnit") || slices.Contains(got, "StopUnit") {
		t.Errorf("calls %v", got)
	}
	// And one that comes back as often as it is reset.
	var tries atomic.Int32
	m = connected(t, scene("StartTransientUnit", func(c *systemdtest.Conn, call systemdtest.Call) {
		tries.Add(1)
		c.Error(call, errUnitExists, "")
	}))
	if err := m.Start("x.scope", nil); !errors.As(err, &exists) || tries.Load() != 2 {
		t.Errorf("error %v after %d tries", err, tries.Load())
	}
}

func TestStopForgetsAFailedUnit(t *testing.T) {
	s := scene("StopUnit", func(c *systemdtest.Conn, call systemdtest.Call) { c.EndJob(call, c.Job(call), "failed") })
	m := connected(t, s)
	if err := m.Stop("x.scope"); err == nil || !strings.Contains(err.Error(), "cannot stop unit x.scope") {
		t.Errorf("error %v", err)
	}
	if got := s.Calls(); !slices.Contains(got, "ResetFailedUnit") {
		t.Errorf("calls %v", got)
	}
}

func TestSetPropertiesNamesThem(t *testing.T) {
	m := connected(t, &systemdtest.Server{})
	err := m.SetProperties("none.scope", []Property{{"MemoryMax", dbus.Uint64(1)}, {"TasksMax", dbus.Uint64(1)}})
	if err == nil || !strings.Contains(err.Error(), "cannot set MemoryMax, TasksMax of none.scope") {
		t.Errorf("error %v", err)
	}
}
