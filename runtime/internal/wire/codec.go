package wire

import (
	"encoding/binary"
	"errors"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// An Encoder writes numbers as signed varints and strings with their length before them.
type Encoder struct{ b []byte }

// Bytes is what was written.
func (e *Encoder) Bytes() []byte { return e.b }

// Int writes a number.
func (e *Encoder) Int(v int64) { e.b = binary.AppendVarint(e.b, v) }

// String writes a string.
func (e *Encoder) String(s string) {
	e.Int(int64(len(s)))
	e.b = append(e.b, s...)
}

// Bool writes a truth value.
func (e *Encoder) Bool(v bool) {
	if v {
		e.Int(1)
		return
	}
	e.Int(0)
}

// A Decoder reads what an Encoder wrote. After an error everything it returns is zero.
type Decoder struct {
	b   []byte
	bad bool
}

// NewDecoder reads from b.
func NewDecoder(b []byte) *Decoder { return &Decoder{b: b} }

var errMalformed = errors.New("malformed message")

// Int reads a number.
func (d *Decoder) Int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// String reads a string.
func (d *Decoder) String() string {
	n := d.Int()
	if n < 0 || n > int64(len(d.b)) {
		d.bad, d.b = true, nil
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// Bool reads a truth value.
func (d *Decoder) Bool() bool { return d.Int() != 0 }

// End returns an error if what was read was malformed, or if something is left.
func (d *Decoder) End() error {
	if d.bad || len(d.b) > 0 {
		return errMalformed
	}
	return nil
}

// EncodeInput writes everything of an input but its bundle, whose config.json travels in
// a memory file.
func EncodeInput(in *step.Input) string {
	var e Encoder
	e.String(in.ID)
	e.String(in.Bundle.Dir)
	o := &in.Options
	e.Bool(o.NoPivot)
	e.Bool(o.NoNewKeyring)
	e.Bool(o.Rootless)
	e.Bool(o.NoCgroups)
	e.Int(int64(o.PreserveFDs))
	e.Int(int64(o.ListenFDs))
	e.String(o.ListenNames)
	e.String(o.NotifyDir)
	f := &in.Facts
	e.Int(int64(f.EUID))
	e.Int(int64(f.EGID))
	e.Bool(f.InUserNS)
	e.String(f.Cgroup)
	e.Int(int64(f.LastCap))
	e.Int(int64(f.Caps))
	e.Int(int64(f.Kernel[0]))
	e.Int(int64(f.Kernel[1]))
	e.Bool(f.AppArmor)
	e.Bool(f.SELinux)
	e.String(in.Unit.Name)
	e.String(in.Unit.Slice)
	e.Int(int64(len(in.Cgroups)))
	for _, c := range in.Cgroups {
		e.String(c.Name)
		e.String(c.Mount)
		e.String(c.Path)
	}
	return string(e.Bytes())
}

// DecodeInput reads what EncodeInput wrote, and the directory of the bundle.
func DecodeInput(s string) (in *step.Input, dir string, err error) {
	d := NewDecoder([]byte(s))
	in = &step.Input{ID: d.String()}
	dir = d.String()
	o := &in.Options
	o.NoPivot, o.NoNewKeyring, o.Rootless, o.NoCgroups = d.Bool(), d.Bool(), d.Bool(), d.Bool()
	o.PreserveFDs, o.ListenFDs = int(d.Int()), int(d.Int())
	o.ListenNames, o.NotifyDir = d.String(), d.String()
	f := &in.Facts
	f.EUID, f.EGID, f.InUserNS, f.Cgroup = int(d.Int()), int(d.Int()), d.Bool(), d.String()
	f.LastCap, f.Caps = int(d.Int()), uint64(d.Int())
	f.Kernel[0], f.Kernel[1] = int(d.Int()), int(d.Int())
	f.AppArmor, f.SELinux = d.Bool(), d.Bool()
	in.Unit.Name, in.Unit.Slice = d.String(), d.String()
	n := d.Int()
	if n < 0 || n > 64 {
		return nil, "", errMalformed
	}
	for range n {
		in.Cgroups = append(in.Cgroups, step.Cgroup{Name: d.String(), Mount: d.String(), Path: d.String()})
	}
	return in, dir, d.End()
}
