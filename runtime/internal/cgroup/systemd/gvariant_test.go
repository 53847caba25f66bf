package systemd

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
)

func entry(k, v dbus.Value) dbus.Value {
	return dbus.Struct{Entry: true, Fields: []dbus.Value{k, v}}
}

func TestParseValue(t *testing.T) {
	for text, want := range map[string]dbus.Value{
		"true": dbus.Bool(true), " false ": dbus.Bool(false), "boolean true": dbus.Bool(true),
		"5": dbus.Int32(5), "-5": dbus.Int32(-5), "0x1F": dbus.Int32(31), "010": dbus.Int32(8),
		"byte 255": dbus.Byte(255), "int16 -7": dbus.Int16(-7), "uint16 7": dbus.Uint16(7),
		"uint32 7": dbus.Uint32(7), "int64 -7": dbus.Int64(-7), "uint64 5": dbus.Uint64(5),
		"uint64 18446744073709551615": dbus.Uint64(math.MaxUint64), "@t 5": dbus.Uint64(5),
		"1.5": dbus.Double(1.5), "1e3": dbus.Double(1000), "double 2": dbus.Double(2), "inf": dbus.Double(math.Inf(1)),
		"'a string'": dbus.String("a string"), `"it's"`: dbus.String("it's"), `'a\'b\n\u00e4'`: dbus.String("a'b\nä"), "''": dbus.String(""),
		"objectpath '/a/b'": dbus.Path("/a/b"), "signature 'a{sv}'": dbus.Sig("a{sv}"),
		"['a', 'b']": dbus.Strings("a", "b"), "@as []": dbus.Array{Elem: "s"}, "[]": nil,
		"[1, uint64 2]":      dbus.Array{Elem: "t", Items: []dbus.Value{dbus.Uint64(1), dbus.Uint64(2)}},
		"[1, 2.5]":           dbus.Array{Elem: "d", Items: []dbus.Value{dbus.Double(1), dbus.Double(2.5)}},
		"[byte 0x05, 0x01]":  dbus.Bytes([]byte{5, 1}),
		`b'a\101'`:           dbus.Bytes([]byte("aA\x00")),
		"('/dev/sda', 'rw')": dbus.Struct{Fields: []dbus.Value{dbus.String("/dev/sda"), dbus.String("rw")}},
		"(1,)":               dbus.Struct{Fields: []dbus.Value{dbus.Int32(1)}},
		"[('a', uint64 1), ('b', 2)]": dbus.Array{Elem: "(st)", Items: []dbus.Value{
			dbus.Struct{Fields: []dbus.Value{dbus.String("a"), dbus.Uint64(1)}}, dbus.Struct{Fields: []dbus.Value{dbus.String("b"), dbus.Uint64(2)}},
		}},
		"{'a': 1}":        dbus.Array{Elem: "{si}", Items: []dbus.Value{entry(dbus.String("a"), dbus.Int32(1))}},
		"<'a'>":           dbus.Variant{Value: dbus.String("a")},
		"@a(ss) []":       dbus.Array{Elem: "(ss)"},
		"[[], ['a']]":     dbus.Array{Elem: "as", Items: []dbus.Value{dbus.Array{Elem: "s"}, dbus.Strings("a")}},
		"uint64 x":        nil,
		"uint64 -1":       nil,
		"byte 256":        nil,
		"3000000000":      nil,
		"uint64 'a'":      nil,
		"string 5":        nil,
		"[1, 'a']":        nil,
		"'a":              nil,
		"":                nil,
		"true false":      nil,
		"()":              nil,
		"nothing":         nil,
		"just 5":          nil,
		"@z 5":            nil,
		"@ai ['a']":       nil,
		"uint64 uint32 5": nil,
		"objectpath 'a'":  nil,
		"signature 'zz'":  nil,
		"[1 2]":           nil,
		"{'a' 1}":         nil,
		"1_000":           nil,
		"0b1":             nil,
		"'\xff'":          nil,
		`'\u0000'`:        nil,
		"x":               nil,
		strings.Repeat("[", 100) + strings.Repeat("]", 100): nil,
		"@" + strings.Repeat("a", 300) + "s []":             nil,
	} {
		got, err := ParseValue(text)
		if want == nil {
			if err == nil {
				t.Errorf("%s is taken for %#v", text, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v, not %#v (%v)", text, got, want, err)
		}
	}
}

// What the field's common library understands is understood, and of the same type.
func TestParseValueAsTheCommonLibrary(t *testing.T) {
	for _, text := range []string{
		"true", "5", "-7", "0x10", "1.5", "uint64 5", "byte 3", "'a'", `"a"`, "['a','b']", "[1,2,3]", "@as []", "@t 7",
		"[uint64 1, 2]", "<5>", "{'a': 'b', 'c': 'd'}", "{uint32 1: 2}", "objectpath '/a'", "signature 'as'", "int16 3",
	} {
		theirs, err := godbus.ParseVariant(text, godbus.Signature{})
		if err != nil {
			t.Fatalf("%s: the library: %v", text, err)
		}
		ours, err := ParseValue(text)
		if err != nil || ours.Signature() != theirs.Signature().String() {
			t.Errorf("%s: %v of type %v, theirs of %v", text, err, ours, theirs.Signature())
		}
	}
}

func TestParseProperty(t *testing.T) {
	for _, c := range []struct {
		name, text, wantName string
		want                 dbus.Value
	}{
		{"TimeoutStopUSec", "uint64 5", "TimeoutStopUSec", dbus.Uint64(5)},
		{"TimeoutStopSec", "1.5", "TimeoutStopUSec", dbus.Uint64(1500000)},
		{"TimeoutStopSec", "uint64 3", "TimeoutStopUSec", dbus.Uint64(3000000)},
		{"TimeoutStopSec", "inf", "TimeoutStopUSec", dbus.Uint64(math.MaxUint64)},
		{"CollectMode", "'inactive'", "CollectMode", dbus.String("inactive")},
	} {
		p, err := ParseProperty(c.name, c.text)
		if err != nil || p.Name != c.wantName || p.Value != c.want {
			t.Errorf("%s=%s is %+v, %v", c.name, c.text, p, err)
		}
	}
	for _, c := range [][2]string{{"TimeoutStopUSec", "uint64 x"}, {"TimeoutStopSec", "'a'"}, {"TimeoutStopSec", "-1"}, {"TimeoutStopSec", "1e300"}, {"TimeoutStopSec", "nan"}} {
		var bad *NameError
		if _, err := ParseProperty(c[0], c[1]); err == nil || errors.As(err, &bad) {
			t.Errorf("%v: error %v", c, err)
		}
	}
	for _, name := range []string{"", "ab", "a-b", "Memory.Max", "Ünit", "A1b"} {
		var bad *NameError
		if _, err := ParseProperty(name, "true"); !errors.As(err, &bad) {
			t.Errorf("%q: error %v", name, err)
		}
	}
}

func FuzzParseValue(f *testing.F) {
	for _, s := range []string{"true", "uint64 5", "['a', @s 'b']", "{'a': <1>}", `b"\001"`, "(1, 2.5, 'x')", "@a{sv} {}", "[[], ['a']]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseValue(s)
		if err != nil {
			return
		}
		if _, rest := cutType(v.Signature()); rest != "" {
			t.Errorf("%q has the type %q", s, v.Signature())
		}
	})
}
