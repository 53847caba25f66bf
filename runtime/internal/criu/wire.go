package criu

import (
	"encoding/binary"
	"errors"
)

// The wire types of protocol buffers (https://protobuf.dev/programming-guides/encoding).
const (
	varint    = 0
	fixed64   = 1
	delimited = 2
	fixed32   = 5
)

// errForm is an answer that is no message.
var errForm = errors.New("not a message of CRIU's")

// An encoder appends the fields of a message. What is zero is not written, except where a
// field must be there.
type encoder struct{ b []byte }

func (e *encoder) tag(field, kind int) {
	e.b = binary.AppendUvarint(e.b, uint64(field)<<3|uint64(kind))
}

// number writes an integer whatever it is; a negative one has ten bytes.
func (e *encoder) number(field int, n int64) {
	e.tag(field, varint)
	e.b = binary.AppendUvarint(e.b, uint64(n))
}

func (e *encoder) someNumber(field int, n int64) {
	if n != 0 {
		e.number(field, n)
	}
}

func (e *encoder) flag(field int, on bool) {
	if on {
		e.number(field, 1)
	}
}

// text writes a string whatever it is.
func (e *encoder) text(field int, s string) {
	e.tag(field, delimited)
	e.b = binary.AppendUvarint(e.b, uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) someText(field int, s string) {
	if s != "" {
		e.text(field, s)
	}
}

// message writes a message in the message.
func (e *encoder) message(field int, write func(*encoder)) {
	var inner encoder
	write(&inner)
	e.text(field, string(inner.b))
}

// A field is one field of a message that was read: n of a number, b of the rest.
type field struct {
	number int
	n      uint64
	b      []byte
}

// fields calls each for every field of a message, in the order of the message.
func fields(b []byte, each func(field) error) error {
	for len(b) > 0 {
		tag, size := binary.Uvarint(b)
		if size <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return errForm
		}
		b = b[size:]
		f := field{number: int(tag >> 3)}
		switch tag & 7 {
		case varint:
			if f.n, size = binary.Uvarint(b); size <= 0 {
				return errForm
			}
		case fixed64:
			size = 8
		case fixed32:
			size = 4
		case delimited:
			n, head := binary.Uvarint(b)
			if head <= 0 || n > uint64(len(b)-head) {
				return errForm
			}
			size = head + int(n)
			f.b = b[head:size]
		default:
			return errForm
		}
		if size > len(b) {
			return errForm
		}
		b = b[size:]
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}
