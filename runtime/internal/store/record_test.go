package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRecordRoundTrip(t *testing.T) {
	full := sample("demo")
	small := &Record{
		ID: "x", Token: "t", BootID: "b", Version: Version, Phase: PhaseCreating,
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	for _, want := range []*Record{full, small} {
		data, err := encodeRecord(want, true)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeRecord(data)
		if err != nil {
			t.Fatalf("%v in\n%s", err, data)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v\nfrom %s", got, want, data)
		}
	}
}

// Tools read these names with ordinary JSON libraries.
func TestRecordForOtherReaders(t *testing.T) {
	data, err := encodeRecord(sample("demo"), true)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		ID      string            `json:"id"`
		Pid     int               `json:"init_process_pid"`
		Start   uint64            `json:"init_process_start"`
		Created time.Time         `json:"created"`
		Bundle  string            `json:"bundle"`
		Rootfs  string            `json:"rootfs"`
		Paths   map[string]string `json:"cgroup_paths"`
		Error   string            `json:"last_error"`
		Config  json.RawMessage   `json:"oci_config"`
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	want := sample("demo")
	if got.ID != want.ID || got.Pid != want.Pid || got.Start != want.StartTime || !got.Created.Equal(want.Created) ||
		got.Bundle != want.Bundle || got.Rootfs != want.Rootfs || !reflect.DeepEqual(got.Paths, want.Cgroup.Paths) ||
		got.Error != want.LastError || !bytes.Equal(got.Config, want.Config) {
		t.Errorf("got %+v", got)
	}
}

func TestIntentHasNoConfig(t *testing.T) {
	data, err := encodeRecord(sample("demo"), false)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeRecord(data)
	if err != nil {
		t.Fatal(err)
	}
	want := sample("demo")
	want.Config, want.Resources, want.IntelRdt = nil, nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

const minimal = `"version":1,"id":"x","token":"t","boot_id":"b","phase":"created","created":"2026-01-02T03:04:05Z"`

func TestDecodeRefuses(t *testing.T) {
	for _, c := range slices.Concat(formErrors(), valueErrors()) {
		t.Run(c.name, func(t *testing.T) {
			rec, err := decodeRecord([]byte(c.in))
			if err == nil {
				t.Fatalf("accepted as %+v", rec)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
			if rec != nil {
				t.Errorf("a record beside the error: %+v", rec)
			}
		})
	}
}

type badRecord struct{ name, in, want string }

// with is a good record with more members.
func with(more string) string { return "{" + minimal + "," + more + "}" }

// without is a good record but for one member.
func without(key string) string {
	var parts []string
	for part := range strings.SplitSeq(minimal, ",") {
		if !strings.HasPrefix(part, `"`+key+`"`) {
			parts = append(parts, part)
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func formErrors() []badRecord {
	return []badRecord{
		{"empty", "", "unexpected end"},
		{"spaces", strings.Repeat(" ", 100), "unexpected end"},
		{"null", "null", "expected an object, found 'n'"},
		{"array", "[]", "expected an object, found '['"},
		{"NUL", "\x00\x00\x00", "unexpected NUL byte"},
		{"cut", "{" + minimal[:40], "unexpected end"},
		{"two documents", "{" + minimal + "}{}", "data after the record"},
		{"duplicate", with(`"id":"x"`), `duplicate key "id"`},
		{"duplicate unknown", with(`"new":1,"new":2`), `duplicate key "new"`},
		{"duplicate escaped", with(`"\u0069d":"x"`), `duplicate key "id"`},
		{"duplicate inside", with(`"cgroup":{"path":"a","path":"b"}`), `cgroup: duplicate key "path"`},
		{"depth", with(`"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200)), "nested too deeply"},
		{"depth in config", with(`"oci_config":` + strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200)), "nested too deeply"},
		{"control character", with(`"rootfs":"a` + "\x01" + `"`), "rootfs: control character"},
		{"invalid UTF-8", with(`"rootfs":"a` + "\xff" + `"`), "rootfs: invalid UTF-8"},
		{"surrogate", with(`"rootfs":"\ud800"`), "rootfs: half of a surrogate pair"},
		{"escape", with(`"rootfs":"\x"`), "rootfs: unknown escape"},
		{"number", with(`"x":01`), "x: expected a value"},
		{"word", with(`"x":nul`), "x: expected a value"},
		{"comma", with(`"x":[1,]`), "x: expected a value"},
	}
}

// valueErrors are those of JSON that is none of our records.
func valueErrors() []badRecord {
	return []badRecord{
		{"empty object", "{}", "id: required field missing"},
		{"no id", without("id"), "id: required field missing"},
		{"no token", without("token"), "token: required field missing"},
		{"no boot id", without("boot_id"), "boot_id: required field missing"},
		{"no phase", without("phase"), "phase: required field missing"},
		{"no version", without("version"), "version: required field missing"},
		{"no created", without("created"), "created: required field missing"},
		{"bad id", strings.Replace("{"+minimal+"}", `"x"`, `"../x"`, 1), "id: invalid container ID format"},
		{"wrong type", strings.Replace("{"+minimal+"}", `"x"`, `7`, 1), "id: expected a string, found '7'"},
		{"bad time", strings.Replace("{"+minimal+"}", "T03", " 03", 1), "created: expected a time"},
		{"pid -1", with(`"init_process_pid":-1,"init_process_start":5`), "init_process_pid: expected a whole number"},
		{"pid 0", with(`"init_process_pid":0,"init_process_start":5`), "init_process_pid: 0 cannot be"},
		{"pid 1", with(`"init_process_pid":1,"init_process_start":5`), "init_process_pid: 1 cannot be"},
		{"pid 2^31", with(`"init_process_pid":2147483648,"init_process_start":5`), "init_process_pid: expected a whole number"},
		{"pid 1e3", with(`"init_process_pid":1e3,"init_process_start":5`), "init_process_pid: expected a whole number"},
		{"pid 007", with(`"init_process_pid":007,"init_process_start":5`), "init_process_pid: expected a whole number"},
		{"pid without start", with(`"init_process_pid":4711`), "init_process_start: required field missing"},
		{"huge start", with(`"init_process_start":99999999999999999999`), "init_process_start: expected a whole number"},
		{"root cgroup", with(`"cgroup_paths":{"memory":"/"}`), `cgroup_paths.memory: "/" is not`},
		{"dotted cgroup", with(`"cgroup_paths":{"memory":"/sys/fs/cgroup/a/../../x"}`), "cgroup_paths.memory: "},
		{"relative cgroup", with(`"cgroup_paths":{"memory":"a"}`), "cgroup_paths.memory: "},
		{"foreign made", with(`"cgroup_paths":{"memory":"/c/a"},"cgroup":{"made":["/c/a","/c/b"]}`), "cgroup.made[1]: "},
	}
}

func TestDecodeTolerates(t *testing.T) {
	rec, err := decodeRecord([]byte(" {" + minimal + `, "new" : {"a":[{}, [], 1.5e-3, -0, true,false,null,"\ud83d\ude00"]} , "other":0.5} ` + "\n"))
	if err != nil || rec.ID != "x" {
		t.Errorf("%+v, %v", rec, err)
	}
}

func TestDecodeNewer(t *testing.T) {
	in := strings.Replace("{"+minimal+`,"init_process_pid":77,"init_process_start":5}`, `"version":1`, `"version":2`, 1)
	rec, err := decodeRecord([]byte(in))
	if !errors.Is(err, ErrNewer) {
		t.Fatalf("error %v", err)
	}
	if rec == nil || rec.Pid != 77 {
		t.Errorf("delete --force needs what can be read, got %+v", rec)
	}
}

func TestDecodeOffset(t *testing.T) {
	_, err := decodeRecord([]byte(`{"version":1,` + "\n" + `"id":false}`))
	var s *syntaxError
	if !errors.As(err, &s) || s.offset != 19 || s.field != "id" {
		t.Errorf("%#v", err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, change := range map[string]func(*Record){
		"pid 1":      func(r *Record) { r.Pid = 1 },
		"negative":   func(r *Record) { r.Pid = -4 },
		"no start":   func(r *Record) { r.StartTime = 0 },
		"no id":      func(r *Record) { r.ID = "" },
		"not UTF-8":  func(r *Record) { r.Bundle = "/a\xff" },
		"config":     func(r *Record) { r.Config = []byte("{") },
		"two values": func(r *Record) { r.Config = []byte("{} {}") },
		"cgroup":     func(r *Record) { r.Cgroup.Made = []string{"/etc"} },
		"a service":  func(r *Record) { r.Cgroup.Unit = "sshd.service" },
		"unit path":  func(r *Record) { r.Cgroup.Unit = "a/b.scope" },
		"year":       func(r *Record) { r.Created = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		rec := sample("demo")
		change(rec)
		if data, err := encodeRecord(rec, true); err == nil {
			t.Errorf("%s: accepted as %s", name, data)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, err := encodeRecord(sample("demo"), true)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte("{" + minimal + "}"))
	f.Add([]byte("{" + minimal + `,"init_process_start":1}`))
	for _, s := range []string{"", "null", "{}", "[]", "\x00", `{"id":"\ud83d\ude00"}`, `{"a":[1,2,{"b":-0.5e+1}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := decodeRecord(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what is not JSON: %q", data)
		}
		if rec.Pid != 0 && rec.Pid <= 1 {
			t.Fatalf("accepted pid %d", rec.Pid)
		}
		again, err := encodeRecord(rec, true)
		if err != nil {
			if y := rec.Created.UTC().Year(); y < 1 || y > 9999 {
				return // an offset may carry a time out of what can be written
			}
			t.Fatalf("cannot write what was read: %v: %q", err, data)
		}
		third, err := decodeRecord(again)
		if err != nil {
			t.Fatalf("cannot read what was written: %v: %q", err, again)
		}
		rec.Created, third.Created = rec.Created.UTC(), third.Created.UTC()
		if !reflect.DeepEqual(rec, third) {
			t.Fatalf("%+v became %+v", rec, third)
		}
	})
}

// FuzzSkip compares our grammar with the standard library's.
func FuzzSkip(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":-0.5e+1}]}`, `"\u00e9\n"`, "01", "-", "[1,]", `{"a"}`, "1.", "tru", " 1 "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &parser{data: data}
		p.skip()
		p.end()
		if p.err == nil && !json.Valid(data) {
			t.Fatalf("accepted what is not JSON: %q", data)
		}
		// We are stricter: UTF-8, surrogates, depth.
		if p.err != nil && json.Valid(data) && !stricter(p.err) {
			t.Fatalf("refused JSON: %v: %q", p.err, data)
		}
	})
}

func stricter(err error) bool {
	for _, s := range []string{"UTF-8", "surrogate", "deeply"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}
