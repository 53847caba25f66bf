package entry

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/elf"
)

// Where the image lies in memory. The text segment holds the ELF header and the walker,
// the data segment everything else. The second begins a multiple of 64 KiB after the
// first plus its place in the file, so that the file can be mapped with pages of up to
// 64 KiB.
const (
	textBase   = 0x10000000
	walkerAt   = 0x200
	dataAt     = 0x1000
	dataBase   = textBase + 0x10000 + dataAt
	heapBase   = Addr(dataBase + 16)
	headerSize = 32 // of the heap: report descriptor, padding, record of a failure
	callSize   = 80
	maxImage   = 16 << 20
)

// The walkers find the list and the report by these offsets from dataBase: 0 address of
// the first call; 16 report descriptor; 24 the record of a failure.

// ErrTooLarge is returned for a program whose data does not fit into an image.
var ErrTooLarge = errors.New("program is too large")

// encode lays the image out. It leaves the program as it is, so that it can be described
// and imaged again.
func (p *Program) encode() ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	if len(p.calls) >= 1<<16 {
		return nil, ErrTooLarge // a call's index has 16 bits
	}
	p.header()
	p.endings()
	if err := p.check(); err != nil {
		return nil, err
	}
	calls := append(p.calls[:len(p.calls):len(p.calls)], p.gone)
	p.gone.index = len(p.calls)
	table := (len(p.heap) + 15) &^ 15
	size := dataAt + int(heapBase-dataBase) + table + len(calls)*callSize
	if size > maxImage {
		return nil, ErrTooLarge
	}
	b := make([]byte, size)
	walker := walkerText()
	if walkerAt+len(walker) > dataAt {
		return nil, errors.New("bug in ocirt: walker does not fit")
	}
	elfHeader(b, size)
	copy(b[walkerAt:], walker)
	data := b[dataAt:]
	binary.NativeEndian.PutUint64(data, uint64(heapBase)+uint64(table))
	heap := data[heapBase-dataBase:]
	copy(heap, p.heap)
	for i, c := range calls {
		c.encode(heap[table+i*callSize:], heapBase+Addr(table))
	}
	return b, nil
}

// endings makes the call that ends the process where the peer has gone. It stands behind
// the last call, so a program that has no end of its own, or whose execve is allowed to
// fail, ends there too instead of walking into empty memory.
func (p *Program) endings() {
	if p.gone == nil {
		p.gone = &Call{p: p, trap: unix.SYS_EXIT_GROUP, args: [6]uintptr{1}, step: -1, label: "exit: the peer has gone"}
	}
}

// check finds what would make a walker read, write or go where nothing is.
func (p *Program) check() error {
	if len(p.open) > 0 {
		p.fault("call %d goes on at a place that is nowhere", p.open[0].from[0].index)
	}
	for _, c := range p.calls {
		for i, a := range c.args {
			if c.flags&(1<<i) != 0 && !p.hasSlot(a) {
				p.fault("argument %d of call %d is slot %#x, which is not in the data", i, c.index, a)
			}
		}
		if c.keep != 0 && !p.hasSlot(uintptr(c.keep)) {
			p.fault("call %d keeps its result at %#x, which is not a slot in the data", c.index, uintptr(c.keep))
		}
		if c.onZero != nil && c.onZero.p != p {
			p.fault("call %d goes on in another program", c.index)
		}
	}
	return p.err
}

// hasSlot says whether an aligned 32-bit number of the data has this address.
func (p *Program) hasSlot(a uintptr) bool {
	from, to := uintptr(heapBase), uintptr(heapBase)+uintptr(len(p.heap))
	return a >= from && a <= to-SlotSize && a%SlotSize == 0
}

// encode writes the call as the walkers read it: number, six arguments, control word
// (flags 16 bits, four errnos, index 16 bits), where to keep the result, and where to go
// on if it is zero.
func (c *Call) encode(b []byte, table Addr) {
	binary.NativeEndian.PutUint64(b, uint64(c.trap))
	for i, a := range c.args {
		binary.NativeEndian.PutUint64(b[8+8*i:], uint64(a))
	}
	control := uint64(c.flags) | uint64(c.index)<<48
	for i, e := range c.errnos {
		control |= uint64(e) << (16 + 8*i)
	}
	binary.NativeEndian.PutUint64(b[56:], control)
	binary.NativeEndian.PutUint64(b[64:], uint64(c.keep))
	if c.onZero != nil {
		binary.NativeEndian.PutUint64(b[72:], uint64(table)+uint64(c.onZero.index)*callSize)
	}
}

// elfHeader writes the file header and the two program headers, in the machine's byte
// order (System V ABI, chapter 4 and 5).
func elfHeader(b []byte, size int) {
	ne := binary.NativeEndian
	order := byte(elf.ELFDATA2LSB)
	if ne.Uint16([]byte{0, 1}) == 1 {
		order = byte(elf.ELFDATA2MSB)
	}
	copy(b, elf.ELFMAG)
	b[elf.EI_CLASS], b[elf.EI_DATA], b[elf.EI_VERSION] = byte(elf.ELFCLASS64), order, byte(elf.EV_CURRENT)
	ne.PutUint16(b[16:], uint16(elf.ET_EXEC))
	ne.PutUint16(b[18:], uint16(machine))
	ne.PutUint32(b[20:], uint32(elf.EV_CURRENT))
	ne.PutUint64(b[24:], textBase+walkerAt)
	ne.PutUint64(b[32:], 64) // program headers follow the file header
	ne.PutUint32(b[48:], machineFlags)
	ne.PutUint16(b[52:], 64)
	ne.PutUint16(b[54:], 56)
	ne.PutUint16(b[56:], 3)
	segment(b[64:], elf.PF_R|elf.PF_X, 0, textBase, dataAt)
	segment(b[120:], elf.PF_R|elf.PF_W, dataAt, dataBase, size-dataAt)
	// A stack that cannot be executed: without this header some kernels make every
	// readable page executable.
	stack := b[176:]
	ne.PutUint32(stack, uint32(elf.PT_GNU_STACK))
	ne.PutUint32(stack[4:], uint32(elf.PF_R|elf.PF_W))
}

func segment(b []byte, flags elf.ProgFlag, offset, addr, size int) {
	ne := binary.NativeEndian
	ne.PutUint32(b, uint32(elf.PT_LOAD))
	ne.PutUint32(b[4:], uint32(flags))
	ne.PutUint64(b[8:], uint64(offset))
	ne.PutUint64(b[16:], uint64(addr))
	ne.PutUint64(b[24:], uint64(addr))
	ne.PutUint64(b[32:], uint64(size))
	ne.PutUint64(b[40:], uint64(size))
	ne.PutUint64(b[48:], 0x10000)
}

// walkerText is the walker's machine code, as it stands in this program's own text
// between the two symbols of the assembler file.
func walkerText() []byte {
	return unsafe.Slice((*byte)(walkStart), uintptr(walkEnd)-uintptr(walkStart))
}
