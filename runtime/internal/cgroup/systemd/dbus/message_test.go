package dbus

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"testing"

	godbus "github.com/godbus/dbus/v5"
)

// The library that everybody else uses reads what we write.
func TestCallIsUnderstood(t *testing.T) {
	c := Call{
		Destination: "a.b", Path: "/a", Interface: "a.b.C", Member: "Do",
		Body: []Value{
			Byte(1), Bool(true), Int16(-2), Uint16(2), Int32(-3), Uint32(3), Int64(-4), Uint64(math.MaxUint64), Double(1.5),
			String("ä"), Path("/x"), Sig("as"), Strings("a", "", "c"), Bytes(nil),
			Array{Elem: "t"},
			Array{Elem: "(yt)", Items: []Value{Struct{Fields: []Value{Byte(1), Uint64(2)}}, Struct{Fields: []Value{Byte(3), Uint64(4)}}}},
			Variant{Variant{Strings("deep")}},
			Array{Elem: "{sv}", Items: []Value{Struct{Entry: true, Fields: []Value{String("k"), Variant{Byte(7)}}}}},
		},
	}
	raw := c.encode(5)
	m, err := godbus.DecodeMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	want := []any{
		byte(1), true, int16(-2), uint16(2), int32(-3), uint32(3), int64(-4), uint64(math.MaxUint64), 1.5,
		"ä", godbus.ObjectPath("/x"), godbus.ParseSignatureMust("as"),
		[]string{"a", "", "c"},
		[]byte{},
		[]uint64{},
		[][]any{{byte(1), uint64(2)}, {byte(3), uint64(4)}},
		godbus.MakeVariant(godbus.MakeVariant([]string{"deep"})),
		map[string]godbus.Variant{"k": godbus.MakeVariant(byte(7))},
	}
	for i, w := range want {
		if !reflect.DeepEqual(m.Body[i], w) {
			t.Errorf("value %d is %#v, not %#v", i, m.Body[i], w)
		}
	}
	for f, w := range map[godbus.HeaderField]any{
		godbus.FieldDestination: "a.b", godbus.FieldPath: godbus.ObjectPath("/a"), godbus.FieldInterface: "a.b.C", godbus.FieldMember: "Do",
	} {
		if got := m.Headers[f].Value(); got != w {
			t.Errorf("field %d is %v, not %v", f, got, w)
		}
	}
	if n, err := size(raw); err != nil || n != len(raw) {
		t.Errorf("size %d (%v) of %d", n, err, len(raw))
	}
}

func theirs(t testing.TB, order binary.ByteOrder, m *godbus.Message) []byte {
	t.Helper()
	m.Headers[godbus.FieldSignature] = godbus.MakeVariant(godbus.SignatureOf(m.Body...))
	var b bytes.Buffer
	if err := m.EncodeTo(&b, order); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// And we read what it writes, in both byte orders.
func TestMessagesAreRead(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		m, err := parse(theirs(t, order, &godbus.Message{Type: godbus.TypeSignal, Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldPath: godbus.MakeVariant(godbus.ObjectPath("/p")), godbus.FieldInterface: godbus.MakeVariant("i.f"),
			godbus.FieldMember: godbus.MakeVariant("M"), godbus.FieldSender: godbus.MakeVariant(":1.1"),
		}, Body: []any{uint32(7), godbus.ObjectPath("/job"), "unit", godbus.MakeVariant("text")}}))
		if err != nil || m.Path != "/p" || m.Interface != "i.f" || m.Member != "M" || m.Sender != ":1.1" || m.kind != signal {
			t.Fatalf("%+v, %v", m, err)
		}
		d, err := m.Body("uosv")
		if err != nil {
			t.Fatal(err)
		}
		if n, job, unit, text := d.Uint32(), d.Text(), d.Text(), d.VariantString(); n != 7 || job != "/job" || unit != "unit" || text != "text" || d.End() != nil {
			t.Errorf("%d %q %q %q %v", n, job, unit, text, d.End())
		}
		if _, err := m.Body("s"); err == nil {
			t.Error("another signature is taken")
		}
		m, err = parse(theirs(t, order, &godbus.Message{Type: godbus.TypeError, Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldReplySerial: godbus.MakeVariant(uint32(9)), godbus.FieldErrorName: godbus.MakeVariant("a.B"),
		}, Body: []any{"why"}}))
		if err != nil || m.reply != 9 || !Is(m.err(), "a.B") || m.err().Error() != "why (a.B)" {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"unix:path=/run/bus": "/run/bus", "unix:path=/a%20b,guid=5": "/a b", "unix:guid=5,abstract=x": "\x00x",
		"unix:path=": "", "tcp:host=x": "", "unix:tmpdir=/tmp": "", "unix:path=/a%2": "", "unix:path=/a%zz": "", "": "", "unix:path=/a%00b": "",
	} {
		got, err := parseAddress(address)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v", address, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add((&Call{Path: "/a", Member: "M", Body: []Value{String("x"), Variant{Uint64(5)}}}).encode(1))
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		f.Add(theirs(f, order, &godbus.Message{Type: godbus.TypeError, Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldReplySerial: godbus.MakeVariant(uint32(9)), godbus.FieldErrorName: godbus.MakeVariant("a.B"),
		}, Body: []any{"why"}}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := size(b)
		if err != nil || n == 0 || n > len(b) {
			return
		}
		m, err := parse(b[:n:n])
		if err != nil {
			return
		}
		_ = m.err()
		d, err := m.Body("uosv")
		if err == nil {
			d.Uint32()
			d.Text()
			d.Text()
			d.VariantString()
			_ = d.End()
		}
	})
}
