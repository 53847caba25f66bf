package seccomp

import "golang.org/x/sys/unix"

// Instructions of classic BPF that a filter needs (include/uapi/linux/bpf_common.h).
const (
	opLoad   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opAnd    = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opReturn = unix.BPF_RET | unix.BPF_K
	opGoto   = unix.BPF_JMP | unix.BPF_JA
	opEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opAbove  = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	opFrom   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
)

// Offsets in struct seccomp_data.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// maxJump is how far a condition can jump; maxInstructions how many the kernel takes.
const (
	maxJump         = 255
	maxInstructions = unix.BPF_MAXINSNS
)

// An assembler writes a filter from its end to its beginning. BPF only jumps forwards, so
// where a jump leads to is always there already, and how far it is, is known.
type assembler struct {
	code []unix.SockFilter // backwards
	rets []label           // the latest return of each value
}

// A label is a place in the code, counted from the end of the filter.
type label int

// ret returns a place that returns a value, and that the next jumps can reach.
func (a *assembler) ret(value uint32) label {
	for i, l := range a.rets {
		if a.code[l].K != value {
			continue
		}
		if len(a.code)-int(l) > maxJump/2 {
			a.rets[i] = a.put(unix.SockFilter{Code: opReturn, K: value})
		}
		return a.rets[i]
	}
	l := a.put(unix.SockFilter{Code: opReturn, K: value})
	a.rets = append(a.rets, l)
	return l
}

func (a *assembler) put(i unix.SockFilter) label {
	a.code = append(a.code, i)
	return label(len(a.code) - 1)
}

// near returns a place that a condition can jump to, even if there is one more instruction
// between, and that does what l does.
func (a *assembler) near(l label) label {
	if len(a.code)-int(l) < maxJump {
		return l
	}
	return a.copy(l)
}

// copy writes an instruction that does what l does.
func (a *assembler) copy(l label) label {
	if a.code[l].Code == opReturn {
		return a.ret(a.code[l].K)
	}
	return a.put(unix.SockFilter{Code: opGoto, K: uint32(len(a.code)-int(l)) - 1})
}

// jump writes a condition.
func (a *assembler) jump(op uint16, k uint32, yes, no label) label {
	if yes == no {
		return yes
	}
	yes = a.near(yes)
	no = a.near(no)
	here := len(a.code) - 1
	return a.put(unix.SockFilter{Code: op, K: k, Jt: uint8(here - int(yes)), Jf: uint8(here - int(no))})
}

// load writes an instruction that loads a word and goes on at next.
func (a *assembler) load(offset uint32, next label) label {
	a.follow(next)
	return a.put(unix.SockFilter{Code: opLoad, K: offset})
}

// and writes an instruction that clears bits and goes on at next.
func (a *assembler) and(mask uint32, next label) label {
	a.follow(next)
	return a.put(unix.SockFilter{Code: opAnd, K: mask})
}

// follow makes sure that what is written next goes on at l.
func (a *assembler) follow(l label) {
	if int(l) == len(a.code)-1 {
		return
	}
	switch in := a.code[l]; in.Code {
	case opReturn:
		a.put(in)
	default:
		a.put(unix.SockFilter{Code: opGoto, K: uint32(len(a.code)-int(l)) - 1})
	}
}

// finish returns the filter in its order.
func (a *assembler) finish() []unix.SockFilter {
	out := make([]unix.SockFilter, len(a.code))
	for i, in := range a.code {
		out[len(out)-1-i] = in
	}
	return out
}
