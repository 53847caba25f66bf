package criu

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// The files of testdata are written by go-criu: see the module in the folder oracle.

func requests() map[string]*Request {
	ignore, strict := CgroupIgnore, CgroupStrict
	return map[string]*Request{
		"version.req":  {Type: version, KeepOpen: true},
		"features.req": {Type: featureCheck, KeepOpen: true, Features: &Features{MemoryTracking: true, LazyPages: true}},
		"notified.req": {Type: notify, Success: true},
		"predump.req":  {Type: PreDump, Options: &Options{TrackMemory: true}},
		"dump.req": {Type: Dump, Options: &Options{
			ImagesDirFD: 7, WorkDirFD: 8, Pid: 1 << 21, LogLevel: 4, LogFile: "dump.log", ParentImage: "../früher",
			LeaveRunning: true, ExternalUnix: true, TCPEstablished: true, TCPSkipInFlight: true, ShellJob: true, FileLocks: true,
			TrackMemory: true, AutoDedup: true, LinkRemap: true, LazyPages: true, OrphanPTSMaster: true,
			PageServer: &PageServer{Address: "::1", Port: 65535}, StatusFD: 3,
			ExternalMounts: []Pair{{"/etc/hosts", "ocirt-mount-1"}, {"/a b\n", ""}},
			External:       []string{"net[4026531840]:ocirt-net", "file[1f:3]"},
			EmptyNamespace: 0x40000000, FreezeCgroup: "/sys/fs/cgroup/freezer/demo",
			ManageCgroups: &ignore, NetworkLock: LockSkip, ConfigFile: "/etc/criu/runc.conf",
		}},
		"restore.req": {Type: Restore, Options: &Options{
			ImagesDirFD: 7, WorkDirFD: 8, LogFile: "restore.log", Root: "/run/root",
			NotifyScripts: true, Sibling: true, ExternalMasters: true, TCPClose: true,
			Inherit:        []InheritFD{{"pipe:[17]", 4}, {"ocirt-net", 0}},
			JoinNamespaces: []Pair{{"ipc", "/proc/1/ns/ipc"}},
			CgroupRoots:    []Pair{{"memory", "/demo"}, {"", "/"}},
			ManageCgroups:  &strict, LSMProfile: "apparmor:demo", LSMMountContext: "system_u:object_r:x:s0",
		}},
	}
}

func responses() map[string]Response {
	return map[string]Response{
		"version.resp":  {Type: version, Success: true, Version: Version{4, 2, 1}},
		"features.resp": {Type: featureCheck, Success: true, Features: Features{LazyPages: true}},
		"notify.resp":   {Type: notify, Success: true, Script: "post-restore", Pid: 4711},
		"restored.resp": {Type: Restore, Success: true, Pid: 4712},
		"failed.resp":   {Type: Dump, Errno: 3, Message: "Error (criu/x.c:1): no such thing"},
		"negative.resp": {Type: Dump, Errno: -1},
	}
}

func file(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRequestsAreThoseOfGoCRIU(t *testing.T) {
	for name, r := range requests() {
		if got, want := r.marshal(), file(t, name); !bytes.Equal(got, want) {
			t.Errorf("%s: wrote\n%q\nand go-criu writes\n%q", name, got, want)
		}
	}
}

func TestAnswersOfGoCRIUAreRead(t *testing.T) {
	for name, want := range responses() {
		var got Response
		if err := got.unmarshal(file(t, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got != want {
			t.Errorf("%s: read %+v, want %+v", name, got, want)
		}
	}
}

// Every field of Options must reach the message: one that is forgotten in write would be a
// flag that does nothing.
func TestEveryOptionIsWritten(t *testing.T) {
	empty := (&Request{Options: &Options{}}).marshal()
	of := reflect.TypeFor[Options]()
	for i := range of.NumField() {
		o := &Options{}
		f := reflect.ValueOf(o).Elem().Field(i)
		switch f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.String:
			f.SetString("x")
		case reflect.Int, reflect.Int32:
			f.SetInt(1)
		case reflect.Uint32:
			f.SetUint(1)
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		default:
			t.Fatalf("%s is a %s", of.Field(i).Name, f.Kind())
		}
		if bytes.Equal((&Request{Options: o}).marshal(), empty) {
			t.Errorf("%s is not written", of.Field(i).Name)
		}
	}
}

func TestDamagedAnswersAreRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":              {},
		"no type":              {0x10, 1},
		"field 0":              {0x00, 1},
		"cut varint":           {0x08, 0x80},
		"endless varint":       bytes.Repeat([]byte{0xff}, 20),
		"text longer than all": {0x08, 1, 0x4a, 0x7f, 'x'},
		"huge length":          {0x08, 1, 0x4a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"group":                {0x08, 1, 0x0b},
		"cut fixed":            {0x08, 1, 0x0d, 1, 2},
		"damage inside":        {0x08, 1, 0x2a, 1, 0x80},
	} {
		var r Response
		if err := r.unmarshal(b); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

func TestUnknownFieldsAreSkipped(t *testing.T) {
	b := file(t, "restored.resp")
	b = append(b, 0xa5, 0x06, 1, 2, 3, 4)                   // field 100, fixed32
	b = append(b, 0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8)       // fixed64
	b = append(b, 0xa2, 0x06, 2, 'a', 'b', 0xa0, 0x06, 150) // text; varint
	b = append(b, 1)
	var r Response
	if err := r.unmarshal(b); err != nil || r.Pid != 4712 {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzResponse(f *testing.F) {
	for name := range responses() {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		var r Response
		_ = r.unmarshal(b) // must come back
	})
}
