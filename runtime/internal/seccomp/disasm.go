package seccomp

import (
	"encoding/binary"
	"fmt"
	goruntime "runtime"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Compile makes the filter of a profile as it would be on the machine to which an
// architecture is native; empty: on this one. It is an array of struct sock_filter in that machine's byte order.
func Compile(p *specs.LinuxSeccomp, a specs.Arch) ([]byte, error) {
	m, f, err := compileFor(p, a)
	if err != nil {
		return nil, err
	}
	var order binary.AppendByteOrder = binary.LittleEndian
	if m.big {
		order = binary.BigEndian
	}
	b := make([]byte, 0, 8*len(f.code))
	for _, in := range f.code {
		b = order.AppendUint16(b, in.Code)
		b = append(b, in.Jt, in.Jf)
		b = order.AppendUint32(b, in.K)
	}
	return b, nil
}

func compileFor(p *specs.LinuxSeccomp, a specs.Arch) (*machine, *filter, error) {
	if a == "" {
		a = native(goruntime.GOARCH)
	}
	m, ok := machineOf(a)
	if !ok {
		return nil, nil, fmt.Errorf("%q is not a known architecture", a)
	}
	f, err := compile(p, &m, Notifies(p))
	return &m, f, err
}

// Disassemble is the filter of a profile as a person reads it: a line for each instruction.
func Disassemble(p *specs.LinuxSeccomp, a specs.Arch) (string, error) {
	m, f, err := compileFor(p, a)
	if err != nil {
		return "", err
	}
	d := disassembler{machine: m, code: f.code, known: make([]knowledge, len(f.code)), secret: map[int]bool{}}
	for _, i := range f.secrets {
		d.secret[i] = true
	}
	d.follow()
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, %d instructions\n", m.abis[0].name, len(f.code))
	for i := range f.code {
		fmt.Fprintf(&b, "%4d  %s\n", i, d.line(i))
	}
	return b.String(), nil
}

// A disassembler says what instructions do.
type disassembler struct {
	machine *machine
	code    []unix.SockFilter
	known   []knowledge
	secret  map[int]bool
}

// A knowledge is what is true whenever an instruction is reached.
type knowledge struct {
	reached bool
	abi     *abi   // by which the call is made; nil: not known
	loaded  uint32 // the offset of what was loaded last
}

// follow finds what is known where. Jumps go forwards, so one pass does.
func (d *disassembler) follow() {
	d.known[0].reached = true
	for i, in := range d.code {
		here := d.known[i]
		switch in.Code {
		case opReturn:
		case opGoto:
			d.reach(i+1+int(in.K), here)
		case opLoad:
			here.loaded = in.K
			d.reach(i+1, here)
		case opAnd:
			d.reach(i+1, here)
		default:
			yes, no := here, here
			if in.Code == opEqual && here.loaded == offArch {
				yes.abi = d.abiOf(in.K)
			}
			if x := d.machine.x32(); x != nil && in.Code == opFrom && here.loaded == offNumber && in.K == x32Bit && here.abi != nil {
				yes.abi = x
			}
			d.reach(i+1+int(in.Jt), yes)
			d.reach(i+1+int(in.Jf), no)
		}
	}
}

func (d *disassembler) reach(i int, k knowledge) {
	to := &d.known[i]
	if !to.reached {
		*to = k
		to.reached = true
		return
	}
	if to.abi != k.abi {
		to.abi = nil
	}
}

func (d *disassembler) abiOf(audit uint32) *abi {
	for i := range d.machine.abis {
		if b := &d.machine.abis[i]; b.audit == audit {
			return b
		}
	}
	return nil
}

func (d *disassembler) line(i int) string {
	in := d.code[i]
	switch in.Code {
	case opLoad:
		return "load " + d.word(in.K)
	case opAnd:
		return fmt.Sprintf("and %#x", in.K)
	case opReturn:
		return "return " + describe(in.K, d.machine)
	case opGoto:
		return fmt.Sprintf("goto %d", i+1+int(in.K))
	}
	op := map[uint16]string{opEqual: "==", opAbove: ">", opFrom: ">="}[in.Code]
	yes, no := i+1+int(in.Jt), i+1+int(in.Jf)
	text := fmt.Sprintf("if %s %s", op, d.value(i))
	switch {
	case in.Jt == 0:
		return fmt.Sprintf("%s, else goto %d", text, no)
	case in.Jf == 0:
		return fmt.Sprintf("%s goto %d", text, yes)
	}
	return fmt.Sprintf("%s goto %d, else goto %d", text, yes, no)
}

// word says which part of struct seccomp_data an offset is.
func (d *disassembler) word(offset uint32) string {
	switch offset {
	case offNumber:
		return "number"
	case offArch:
		return "architecture"
	}
	half := "low"
	if (offset%8 == 0) == d.machine.big {
		half = "high"
	}
	return fmt.Sprintf("%s half of arg%d", half, (offset-offArgs)/8)
}

// value is a constant with what it means where it stands.
func (d *disassembler) value(i int) string {
	k, here := d.code[i].K, d.known[i]
	switch {
	case d.secret[i]:
		return "the secret of init"
	case here.loaded == offArch:
		if b := d.abiOf(k); b != nil {
			return string(b.name)
		}
	case here.loaded == offNumber && here.abi != nil:
		if here.abi == &d.machine.abis[0] && k == x32Bit && d.machine.x32() != nil {
			return fmt.Sprintf("%#x (%s)", k, specs.ArchX32)
		}
		number := fmt.Sprint(k)
		if k >= x32Bit {
			number = fmt.Sprintf("%#x", k)
		}
		if names := here.abi.namesOf(k); len(names) > 0 {
			return fmt.Sprintf("%s (%s)", number, names[0])
		}
		return number
	}
	return plain(uint64(k))
}
