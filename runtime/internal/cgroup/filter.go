package cgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// On v2 there are no files for device rules: a BPF program that is attached to the group
// decides about each open and mknod (BPF_PROG_TYPE_CGROUP_DEVICE).

// What the kernel gives the program (struct bpf_cgroup_dev_ctx).
const (
	bpfBlock, bpfChar             = 1, 2
	bpfMknod, bpfRead, bpfWrite   = 1, 2, 4
	offAccess, offMajor, offMinor = 0, 4, 8
)

// Codes of BPF instructions (linux/bpf.h).
const (
	ldxWord = unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W // dst = *(u32 *)(src + off)
	aluMov  = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K
	aluMovX = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_X
	aluAnd  = unix.BPF_ALU64 | unix.BPF_AND | unix.BPF_K
	aluShr  = unix.BPF_ALU64 | unix.BPF_RSH | unix.BPF_K
	jumpNot = unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K
	jumpSet = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	exit    = unix.BPF_JMP | unix.BPF_EXIT
)

// Registers of the program. regWanted holds the kinds of access nobody has decided about.
const (
	regResult = iota
	regContext
	regWanted
	regKind
	regMajor
	regMinor
)

type instruction struct {
	code     uint8
	dst, src uint8
	off      int16
	imm      int32
}

// filterProgram translates rules. For each kind of access the last rule that matches
// decides, so the program walks from the last to the first: an allowing rule strikes out
// what it allows, and nothing left means yes; a forbidding rule that finds something left
// means no. The first rule is about everything and decides about the rest.
func filterProgram(rules []deviceRule) []instruction {
	p := []instruction{
		{ldxWord, regWanted, regContext, offAccess, 0},
		{ldxWord, regMajor, regContext, offMajor, 0},
		{ldxWord, regMinor, regContext, offMinor, 0},
		{aluMovX, regKind, regWanted, 0, 0},
		{aluAnd, regKind, 0, 0, 0xffff},
		{aluShr, regWanted, 0, 0, 16},
	}
	for i := len(rules) - 1; i > 0; i-- {
		p = append(p, ruleBlock(rules[i])...)
	}
	return append(p, instruction{aluMov, regResult, 0, 0, truth(rules[0].allow)}, instruction{code: exit})
}

func ruleBlock(r deviceRule) []instruction {
	if r.major > math.MaxInt32 || r.minor > math.MaxInt32 {
		return nil // no device has such numbers
	}
	kind := int32(bpfChar)
	if r.kind == 'b' {
		kind = bpfBlock
	}
	b := []instruction{{jumpNot, regKind, 0, 0, kind}}
	if r.major != wildcard {
		b = append(b, instruction{jumpNot, regMajor, 0, 0, int32(r.major)})
	}
	if r.minor != wildcard {
		b = append(b, instruction{jumpNot, regMinor, 0, 0, int32(r.minor)})
	}
	tests := len(b)
	if r.allow {
		b = append(b, instruction{aluAnd, regWanted, 0, 0, ^accessBits(r.access)},
			instruction{jumpNot, regWanted, 0, 2, 0})
	} else {
		b = append(b, instruction{jumpSet, regWanted, 0, 1, accessBits(r.access)},
			instruction{unix.BPF_JMP | unix.BPF_JA, 0, 0, 2, 0})
	}
	b = append(b, instruction{aluMov, regResult, 0, 0, truth(r.allow)}, instruction{code: exit})
	for i := range tests {
		b[i].off = int16(len(b) - i - 1) // not this rule: on to the next
	}
	return b
}

func accessBits(access string) int32 {
	bits := int32(0)
	for _, c := range access {
		switch c {
		case 'r':
			bits |= bpfRead
		case 'w':
			bits |= bpfWrite
		case 'm':
			bits |= bpfMknod
		}
	}
	return bits
}

func truth(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// encode lays instructions out as the kernel has them, struct bpf_insn. Its two registers
// are bit fields, so which is the low half depends on the byte order.
func encode(p []instruction) []byte {
	big := binary.NativeEndian.Uint16([]byte{0, 1}) == 1
	out := make([]byte, 0, 8*len(p))
	for _, i := range p {
		regs := i.src<<4 | i.dst
		if big {
			regs = i.dst<<4 | i.src
		}
		out = append(out, i.code, regs)
		out = binary.NativeEndian.AppendUint16(out, uint16(i.off))
		out = binary.NativeEndian.AppendUint32(out, uint32(i.imm))
	}
	return out
}

// filterDevices attaches a program for rules to the group at dir in place of others, and
// returns what was done, to be taken back or forgotten. If everything is allowed there is
// nothing to attach. Whoever is not root of the machine may attach none, see [powerless].
func filterDevices(dir string, rules []deviceRule) (*filterSwap, error) {
	swap, err := swapFilter(dir, rules)
	if powerless(err) {
		return nil, nil
	}
	if errors.Is(err, unix.E2BIG) { // the verifier's limit, not that of the program's length
		return nil, &LimitError{"devices", fmt.Errorf("too many device rules (%d): %w", len(rules), err)}
	}
	if err != nil {
		return nil, &LimitError{"devices", pathError("attach a device filter to cgroup", dir, err)}
	}
	return swap, nil
}

// changeFilter prepares to replace the filter of a group.
func changeFilter(dir string, rules []deviceRule) *deviceChange {
	var swap *filterSwap
	return &deviceChange{
		do: func() (err error) {
			swap, err = filterDevices(dir, rules)
			return err
		},
		takeBack: func() error { return swap.takeBack(dir) },
	}
}

// allowsAll tells whether there is nothing to decide.
func allowsAll(rules []deviceRule) bool {
	return !slices.ContainsFunc(rules, func(r deviceRule) bool { return !r.allow })
}

// powerless tells whether an error means that device rules are not ours to make, as we are
// not root, or root of a user namespace only. They are not needed then: the container has a
// user namespace, where nobody can make a device node, and the nodes it is given are no more
// open to it than to us.
func powerless(err error) bool {
	return err != nil && denied(cause(err)) && (os.Geteuid() != 0 || inUserNamespace())
}

// inUserNamespace tells whether ids here are not those of the machine.
func inUserNamespace() bool {
	text, err := readAt(unix.AT_FDCWD, "/proc/self/uid_map")
	f := strings.Fields(text)
	return err == nil && (len(f) != 3 || f[0] != "0" || f[1] != "0" || f[2] != "4294967295")
}

// A filterSwap remembers the programs that a group had before. They are files, so that they
// are closed when nobody can ask for them any more.
type filterSwap struct{ old []*os.File }

// swapFilter loads and attaches the program first and takes the others away then, or does
// both at once: at no moment is the group without a filter.
func swapFilter(dir string, rules []deviceRule) (*filterSwap, error) {
	group, err := openGroup(dir)
	if err != nil {
		return nil, err
	}
	defer unix.Close(group)
	prog, all := -1, allowsAll(rules)
	if !all {
		if prog, err = loadFilter(rules); err != nil {
			return nil, err
		}
		defer unix.Close(prog) // the group keeps it
	}
	old, err := filtersOf(group)
	if err != nil {
		if all {
			return nil, nil // a kernel without such filters
		}
		return nil, err
	}
	return &filterSwap{old}, replaceFilters(group, old, prog)
}

// replaceFilters attaches a program, unless it is -1, in place of others.
func replaceFilters(group int, old []*os.File, prog int) error {
	if prog >= 0 && len(old) == 1 {
		_, err := bpf(unix.BPF_PROG_ATTACH, field32{0, group}, field32{4, prog}, field32{8, unix.BPF_CGROUP_DEVICE},
			field32{12, unix.BPF_F_ALLOW_MULTI | unix.BPF_F_REPLACE}, field32{16, int(old[0].Fd())})
		if err == nil {
			return nil
		}
	}
	if prog >= 0 {
		if _, err := bpf(unix.BPF_PROG_ATTACH, field32{0, group}, field32{4, prog},
			field32{8, unix.BPF_CGROUP_DEVICE}, field32{12, unix.BPF_F_ALLOW_MULTI}); err != nil {
			return err
		}
	}
	for _, f := range old {
		if _, err := bpf(unix.BPF_PROG_DETACH, field32{0, group}, field32{4, int(f.Fd())}, field32{8, unix.BPF_CGROUP_DEVICE}); err != nil {
			return err
		}
	}
	return nil
}

// takeBack attaches the old programs again.
func (s *filterSwap) takeBack(dir string) error {
	if s == nil {
		return nil
	}
	if err := s.reverse(dir); err != nil {
		return &LimitError{"devices", pathError("attach the former device filter to cgroup", dir, err)}
	}
	return nil
}

func (s *filterSwap) reverse(dir string) error {
	group, err := openGroup(dir)
	if err != nil {
		return err
	}
	defer unix.Close(group)
	now, err := filtersOf(group)
	if err != nil {
		return err
	}
	if len(s.old) == 0 {
		return replaceFilters(group, now, -1)
	}
	for _, f := range s.old[1:] {
		if err := replaceFilters(group, nil, int(f.Fd())); err != nil {
			return err
		}
	}
	return replaceFilters(group, now, int(s.old[0].Fd()))
}

func loadFilter(rules []deviceRule) (int, error) {
	program := filterProgram(rules)
	code, license := encode(program), []byte("Apache\x00")
	var pin runtime.Pinner
	defer pin.Unpin()
	var attr attributes
	attr.set32(0, unix.BPF_PROG_TYPE_CGROUP_DEVICE)
	attr.set32(4, uint32(len(program)))
	attr.setPointer(8, &pin, code)
	attr.setPointer(16, &pin, license)
	return attr.call(unix.BPF_PROG_LOAD)
}

// filtersOf returns the device programs that are attached to a group itself.
func filtersOf(group int) ([]*os.File, error) {
	const most = 64 // the kernel's own limit for one group
	ids := make([]byte, 4*most)
	var pin runtime.Pinner
	defer pin.Unpin()
	var attr attributes
	attr.set32(0, uint32(group))
	attr.set32(4, unix.BPF_CGROUP_DEVICE)
	attr.setPointer(16, &pin, ids)
	attr.set32(24, most)
	if _, err := attr.call(unix.BPF_PROG_QUERY); err != nil {
		return nil, err
	}
	programs := make([]*os.File, min(attr.get32(24), most))
	for i := range programs {
		fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, field32{0, int(binary.NativeEndian.Uint32(ids[4*i:]))})
		if err != nil {
			return nil, err
		}
		programs[i] = newFile(fd, "device filter")
	}
	return programs, nil
}

type field32 struct{ off, value int }

func bpf(command int, fields ...field32) (int, error) {
	var attr attributes
	for _, f := range fields {
		attr.set32(f.off, uint32(f.value))
	}
	return attr.call(command)
}

// attributes is union bpf_attr: zeroed, and larger than that of any kernel, because some
// kernels write back beyond what a caller says is there.
type attributes [256]byte

func (a *attributes) set32(off int, v uint32) { binary.NativeEndian.PutUint32(a[off:], v) }
func (a *attributes) get32(off int) uint32    { return binary.NativeEndian.Uint32(a[off:]) }

// setPointer stores the address of data, which stays where it is until pin is undone.
func (a *attributes) setPointer(off int, pin *runtime.Pinner, data []byte) {
	first := unsafe.SliceData(data)
	pin.Pin(first)
	binary.NativeEndian.PutUint64(a[off:], uint64(uintptr(unsafe.Pointer(first))))
}

func (a *attributes) call(command int) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR, unix.EAGAIN: // the verifier gives way to signals
			continue
		}
		return -1, errno
	}
}
