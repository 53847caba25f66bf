package dbus

import (
	"encoding/binary"
	"unicode/utf8"
)

// Kinds of message.
const (
	methodCall   = 1
	methodReturn = 2
	methodError  = 3
	signal       = 4
)

// Fields of a message's header.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSender      = 7
	fieldSignature   = 8
)

// headerSize is that of the header's fixed part, with the length of its fields.
const headerSize = 16

// maxMessage is far beyond what is ever asked for. The specification allows 128 MiB.
const maxMessage = 4 << 20

// A Call is a call of a method.
type Call struct {
	Destination string // well-known name of the service
	Path        string // of the object
	Interface   string
	Member      string
	Body        []Value
}

// encode returns the message of a call.
func (c *Call) encode(serial uint32) []byte {
	var body encoder
	signature := ""
	for _, v := range c.Body {
		signature += v.Signature()
		v.encode(&body)
	}
	field := func(code byte, v Value) Value { return Struct{Fields: []Value{Byte(code), Variant{v}}} }
	fields := Array{Elem: "(yv)", Items: []Value{
		field(fieldPath, Path(c.Path)), field(fieldMember, String(c.Member)),
	}}
	if c.Interface != "" {
		fields.Items = append(fields.Items, field(fieldInterface, String(c.Interface)))
	}
	if c.Destination != "" {
		fields.Items = append(fields.Items, field(fieldDestination, String(c.Destination)))
	}
	if signature != "" {
		fields.Items = append(fields.Items, field(fieldSignature, Sig(signature)))
	}
	e := encoder{b: make([]byte, 0, 256+len(body.b))}
	e.b = append(e.b, 'l', methodCall, 0, 1)
	e.uint32(uint32(len(body.b)))
	e.uint32(serial)
	fields.encode(&e)
	e.align(8)
	return append(e.b, body.b...)
}

// A Message is what has come: an answer or a signal.
type Message struct {
	Path, Interface, Member string // of a signal
	Sender                  string

	kind      byte
	reply     uint32
	errorName string
	signature string
	body      []byte
	order     binary.ByteOrder
}

// size returns how long the message is that begins with b, or 0 if b does not say yet.
func size(b []byte) (int, error) {
	if len(b) < headerSize {
		return 0, nil
	}
	order, err := orderOf(b[0])
	if err != nil {
		return 0, err
	}
	body, fields := uint64(order.Uint32(b[4:])), uint64(order.Uint32(b[12:]))
	total := (headerSize+fields+7)/8*8 + body
	if total > maxMessage {
		return 0, errMalformed("too long")
	}
	return int(total), nil
}

func orderOf(mark byte) (binary.ByteOrder, error) {
	switch mark {
	case 'l':
		return binary.LittleEndian, nil
	case 'B':
		return binary.BigEndian, nil
	}
	return nil, errMalformed("no byte order")
}

// parse reads a whole message. It keeps b.
func parse(b []byte) (*Message, error) {
	order, err := orderOf(b[0])
	if err != nil {
		return nil, err
	}
	m := &Message{kind: b[1], order: order}
	if b[3] != 1 {
		return nil, errMalformed("another version of the protocol")
	}
	end := headerSize + int(order.Uint32(b[12:]))
	d := &Decoder{b: b[:end], pos: headerSize, order: order}
	for d.pos < end && !d.bad {
		d.align(8)
		code := d.Byte()
		switch d.Signature() {
		case "s", "o":
			m.field(code, d.Text())
		case "g":
			s := d.Signature()
			if code == fieldSignature {
				m.signature = s
			}
		case "u":
			n := d.Uint32()
			if code == fieldReplySerial {
				m.reply = n
			}
		default:
			d.bad = true // no field has another type
		}
	}
	if d.bad {
		return nil, errMalformed("header")
	}
	m.body = b[(end+7)/8*8:]
	return m, nil
}

func (m *Message) field(code byte, s string) {
	switch code {
	case fieldPath:
		m.Path = s
	case fieldInterface:
		m.Interface = s
	case fieldMember:
		m.Member = s
	case fieldErrorName:
		m.errorName = s
	case fieldSender:
		m.Sender = s
	}
}

// err returns the error that an answer is.
func (m *Message) err() error {
	if m.kind != methodError {
		return nil
	}
	e := &Error{Name: m.errorName}
	if len(m.signature) > 0 && m.signature[0] == 's' {
		d := &Decoder{b: m.body, order: m.order}
		e.Message = d.Text()
	}
	return e
}

// Body returns a decoder of the message's values, if they have this signature.
func (m *Message) Body(signature string) (*Decoder, error) {
	if m.signature != signature {
		return nil, errMalformed("a body of type " + quote(m.signature) + ", not " + quote(signature))
	}
	return &Decoder{b: m.body, order: m.order}, nil
}

func quote(s string) string { return `"` + s + `"` }

// A Decoder reads values. After a mistake everything that it returns is zero, and End tells.
type Decoder struct {
	b     []byte
	pos   int
	order binary.ByteOrder
	bad   bool
}

func (d *Decoder) align(n int) { d.take((n - d.pos%n) % n) }

func (d *Decoder) take(n int) []byte {
	if d.bad || n < 0 || n > len(d.b)-d.pos {
		d.bad = true
		return nil
	}
	d.pos += n
	return d.b[d.pos-n : d.pos]
}

// Byte reads a "y".
func (d *Decoder) Byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint32 reads a "u", "i" or "b".
func (d *Decoder) Uint32() uint32 {
	d.align(4)
	if b := d.take(4); b != nil {
		return d.order.Uint32(b)
	}
	return 0
}

// Text reads an "s" or "o".
func (d *Decoder) Text() string {
	n := d.Uint32()
	if d.bad || uint64(n) > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	return d.text(int(n))
}

// Signature reads a "g".
func (d *Decoder) Signature() string { return d.text(int(d.Byte())) }

func (d *Decoder) text(n int) string {
	b := d.take(n + 1)
	if b == nil || b[n] != 0 || !utf8.Valid(b[:n]) {
		d.bad = true
		return ""
	}
	return string(b[:n])
}

// VariantString reads a "v" that holds a string.
func (d *Decoder) VariantString() string {
	if s := d.Signature(); s != "s" && s != "o" {
		d.bad = true
	}
	return d.Text()
}

// End returns an error if something could not be read.
func (d *Decoder) End() error {
	if d.bad {
		return errMalformed("body")
	}
	return nil
}
