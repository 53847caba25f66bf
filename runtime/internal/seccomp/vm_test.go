package seccomp

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// data is what the kernel shows to a filter (struct seccomp_data).
type data struct {
	number, arch uint32
	args         [6]uint64
}

func (d *data) bytes(big bool) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	b := make([]byte, 64)
	order.PutUint32(b, d.number)
	order.PutUint32(b[4:], d.arch)
	for i, a := range d.args {
		order.PutUint64(b[16+8*i:], a)
	}
	return b
}

// checkFilter is what the kernel looks at before it takes a filter.
func checkFilter(code []unix.SockFilter) error {
	if len(code) == 0 || len(code) > 4096 {
		return fmt.Errorf("%d instructions", len(code))
	}
	for i, in := range code {
		var far uint32
		switch in.Code {
		case opLoad:
			if in.K%4 != 0 || in.K >= 64 {
				return fmt.Errorf("%d: load of %d", i, in.K)
			}
		case opEqual, opAbove, opFrom:
			far = uint32(max(in.Jt, in.Jf))
		case opGoto:
			far = in.K
		case opAnd, opReturn:
		default:
			return fmt.Errorf("%d: operation %#x", i, in.Code)
		}
		if uint64(i)+uint64(far)+1 >= uint64(len(code)) && in.Code != opReturn {
			return fmt.Errorf("%d: leads out of the filter", i)
		}
	}
	return nil
}

// run runs a filter as the kernel does, and returns how many instructions that took.
func run(code []unix.SockFilter, d []byte, big bool) (ret uint32, steps int) {
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	var acc uint32
	for pc := 0; ; pc++ {
		steps++
		in := code[pc]
		var yes bool
		switch in.Code {
		case opLoad:
			acc = order.Uint32(d[in.K:])
			continue
		case opAnd:
			acc &= in.K
			continue
		case opGoto:
			pc += int(in.K)
			continue
		case opReturn:
			return in.K, steps
		case opEqual:
			yes = acc == in.K
		case opAbove:
			yes = acc > in.K
		case opFrom:
			yes = acc >= in.K
		}
		if yes {
			pc += int(in.Jt)
		} else {
			pc += int(in.Jf)
		}
	}
}
