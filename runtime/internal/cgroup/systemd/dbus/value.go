package dbus

import (
	"encoding/binary"
	"math"
	"strings"
)

// A Value is a value of one D-Bus type.
type Value interface {
	// Signature is its type, as one complete type of a signature.
	Signature() string
	encode(*encoder)
}

// The basic types. Names follow the specification.
type (
	// Byte is "y".
	Byte byte
	// Bool is "b".
	Bool bool
	// Int16 is "n".
	Int16 int16
	// Uint16 is "q".
	Uint16 uint16
	// Int32 is "i".
	Int32 int32
	// Uint32 is "u".
	Uint32 uint32
	// Int64 is "x".
	Int64 int64
	// Uint64 is "t".
	Uint64 uint64
	// Double is "d".
	Double float64
	// String is "s": UTF-8 without NUL.
	String string
	// Path is "o", the path of an object.
	Path string
	// Sig is "g", a signature.
	Sig string
)

// The containers.
type (
	// Array is a list of values of one type, which an empty one has, too.
	Array struct {
		Elem  string
		Items []Value
	}
	// Struct is "(…)", or an entry of a dictionary "{..}".
	Struct struct {
		Fields []Value
		Entry  bool
	}
	// Variant is "v": any value, with its type.
	Variant struct{ Value Value }
)

// Strings is an array of strings.
func Strings(s ...string) Array {
	a := Array{Elem: "s"}
	for _, v := range s {
		a.Items = append(a.Items, String(v))
	}
	return a
}

// Bytes is an array of bytes.
func Bytes(b []byte) Array {
	a := Array{Elem: "y", Items: make([]Value, 0, len(b))}
	for _, v := range b {
		a.Items = append(a.Items, Byte(v))
	}
	return a
}

// Signature is "y".
func (Byte) Signature() string { return "y" }

// Signature is "b".
func (Bool) Signature() string { return "b" }

// Signature is "n".
func (Int16) Signature() string { return "n" }

// Signature is "q".
func (Uint16) Signature() string { return "q" }

// Signature is "i".
func (Int32) Signature() string { return "i" }

// Signature is "u".
func (Uint32) Signature() string { return "u" }

// Signature is "x".
func (Int64) Signature() string { return "x" }

// Signature is "t".
func (Uint64) Signature() string { return "t" }

// Signature is "d".
func (Double) Signature() string { return "d" }

// Signature is "s".
func (String) Signature() string { return "s" }

// Signature is "o".
func (Path) Signature() string { return "o" }

// Signature is "g".
func (Sig) Signature() string { return "g" }

// Signature is "v".
func (Variant) Signature() string { return "v" }

// Signature is "a" and the type of the elements.
func (a Array) Signature() string { return "a" + a.Elem }

// Signature is that of the fields in brackets.
func (s Struct) Signature() string {
	var b strings.Builder
	for _, f := range s.Fields {
		b.WriteString(f.Signature())
	}
	if s.Entry {
		return "{" + b.String() + "}"
	}
	return "(" + b.String() + ")"
}

// alignment is that of a type: where it begins in a message.
func alignment(signature string) int {
	if signature == "" {
		return 1
	}
	switch signature[0] {
	case 'n', 'q':
		return 2
	case 'b', 'i', 'u', 's', 'o', 'a':
		return 4
	case 'x', 't', 'd', '(', '{':
		return 8
	}
	return 1 // y, g, v
}

// An encoder appends values in little-endian order. Positions count from its beginning.
type encoder struct{ b []byte }

func (e *encoder) align(n int) {
	for len(e.b)%n != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) uint16(v uint16) { e.align(2); e.b = binary.LittleEndian.AppendUint16(e.b, v) }
func (e *encoder) uint32(v uint32) { e.align(4); e.b = binary.LittleEndian.AppendUint32(e.b, v) }
func (e *encoder) uint64(v uint64) { e.align(8); e.b = binary.LittleEndian.AppendUint64(e.b, v) }

func (e *encoder) string(s string) {
	e.uint32(uint32(len(s)))
	e.b = append(append(e.b, s...), 0)
}

func (e *encoder) signature(s string) {
	e.b = append(e.b, byte(len(s)))
	e.b = append(append(e.b, s...), 0)
}

func (v Byte) encode(e *encoder)   { e.b = append(e.b, byte(v)) }
func (v Int16) encode(e *encoder)  { e.uint16(uint16(v)) }
func (v Uint16) encode(e *encoder) { e.uint16(uint16(v)) }
func (v Int32) encode(e *encoder)  { e.uint32(uint32(v)) }
func (v Uint32) encode(e *encoder) { e.uint32(uint32(v)) }
func (v Int64) encode(e *encoder)  { e.uint64(uint64(v)) }
func (v Uint64) encode(e *encoder) { e.uint64(uint64(v)) }
func (v Double) encode(e *encoder) { e.uint64(math.Float64bits(float64(v))) }
func (v String) encode(e *encoder) { e.string(string(v)) }
func (v Path) encode(e *encoder)   { e.string(string(v)) }
func (v Sig) encode(e *encoder)    { e.signature(string(v)) }

func (v Bool) encode(e *encoder) {
	n := uint32(0)
	if v {
		n = 1
	}
	e.uint32(n)
}

func (a Array) encode(e *encoder) {
	e.uint32(0)
	length := len(e.b) - 4
	e.align(alignment(a.Elem)) // is there without elements, too, and does not count
	begin := len(e.b)
	for _, v := range a.Items {
		v.encode(e)
	}
	binary.LittleEndian.PutUint32(e.b[length:], uint32(len(e.b)-begin))
}

func (s Struct) encode(e *encoder) {
	e.align(8)
	for _, f := range s.Fields {
		f.encode(e)
	}
}

func (v Variant) encode(e *encoder) {
	e.signature(v.Value.Signature())
	v.Value.encode(e)
}
