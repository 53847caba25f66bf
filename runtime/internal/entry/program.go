package entry

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Program is what a process does to itself on its way to execve: system calls with all
// their data, walked in order. A call that fails ends the process, after a Record has
// said which one and why.
//
// The zero value is an empty program. Mistakes made while writing one (an argument of
// the wrong kind, more errnos than fit) are kept and returned by Image.
type Program struct {
	calls []*Call
	spare []Call
	heap  []byte
	files []*os.File
	first int
	step  int
	gone  *Call
	here  []*Place // that the next call is at
	open  []*Place // that are jumped to and not known yet
	name  string
	dir   string
	err   error
}

// A Call is one system call of a Program.
type Call struct {
	p      *Program
	trap   uintptr
	args   [6]uintptr
	flags  uint16
	errnos []syscall.Errno
	keep   Addr
	onZero *Call
	index  int
	step   int
	label  string
}

// An Addr is where data of a Program will be when it runs.
type Addr uintptr

// A Slot is the address of a 32-bit number that is known only when the program runs: a
// descriptor, a pid. Given as an argument of a call, its content is passed.
type Slot Addr

// Flags of a call, as the walkers read them. The low six bits say which arguments are
// slots.
const (
	flagAny = 1 << 6
)

const maxErrnos = 4

// SlotSize is the size of a Slot in bytes.
const SlotSize = 4

// Call adds a system call. Arguments are integers, Addr or Slot; missing ones are zero.
func (p *Program) Call(trap uintptr, args ...any) *Call {
	if len(p.spare) == 0 {
		p.spare = make([]Call, 64) // one allocation for what most programs need a few of
	}
	if p.calls == nil {
		p.calls = make([]*Call, 0, 512) // as with its data, growing costs pages that nobody needs
	}
	c := &p.spare[0]
	p.spare = p.spare[1:]
	*c = Call{p: p, trap: trap, index: len(p.calls), step: p.step}
	if len(args) > len(c.args) {
		p.fault("call %d has %d arguments", c.index, len(args))
		args = args[:len(c.args)]
	}
	for i, a := range args {
		c.set(i, a)
	}
	p.calls = append(p.calls, c)
	for _, place := range p.here {
		place.is(c)
	}
	p.here = p.here[:0]
	return c
}

func (c *Call) set(i int, a any) {
	switch v := a.(type) {
	case int:
		c.args[i] = uintptr(v)
	case uintptr:
		c.args[i] = v
	case Addr:
		c.args[i] = uintptr(v)
	case Slot:
		c.args[i] = uintptr(v)
		c.flags |= 1 << i
	case uint64:
		c.args[i] = uintptr(v)
	case int64:
		c.args[i] = uintptr(v)
	case uint32:
		c.args[i] = uintptr(v)
	case int32:
		c.args[i] = uintptr(v)
	case syscall.Signal:
		c.args[i] = uintptr(v)
	default:
		c.p.fault("argument %d of call %d is a %T", i, c.index, a)
	}
}

func (p *Program) fault(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("bug in ocirt: program: "+format, args...)
	}
}

// Label gives the call the words that an error will use for it: a verb and its object.
func (c *Call) Label(s string) *Call {
	c.label = s
	return c
}

// Labelf is Label with formatting.
func (c *Call) Labelf(format string, args ...any) *Call {
	return c.Label(fmt.Sprintf(format, args...))
}

// May says that these errnos (at most four) are not failures; without arguments, that no
// errno is.
func (c *Call) May(errnos ...syscall.Errno) *Call {
	if len(errnos) == 0 {
		c.flags |= flagAny
	}
	c.errnos = append(c.errnos, errnos...)
	if len(c.errnos) > maxErrnos {
		c.p.fault("call %d allows %d errnos", c.index, len(c.errnos))
		c.errnos = c.errnos[:maxErrnos]
	}
	for _, e := range c.errnos {
		if e > 255 {
			c.p.fault("call %d allows errno %d", c.index, e)
		}
	}
	return c
}

// Keep makes the call's result an argument of later calls. The slot holds -1 until then,
// which is no descriptor.
func (c *Call) Keep() Slot {
	s := c.p.Slot(-1)
	c.KeepIn(s)
	return s
}

// KeepIn is Keep into a slot that exists: a place inside other data, such as the list of
// descriptors of a message.
func (c *Call) KeepIn(s Slot) *Call {
	c.keep = Addr(s)
	return c
}

// ElseBack goes on at an earlier call when the result of this one is zero: a peer that
// hung up before it said anything.
func (c *Call) ElseBack(earlier *Call) *Call {
	c.onZero = earlier
	return c
}

// Fork makes the call, a clone without CLONE_VM, split the program: the parent makes the
// calls that parent writes, the child goes on after them. The parent's part must end the
// process (Exit or an execve).
func (c *Call) Fork(parent func(*Program)) {
	parent(c.p)
	c.onZero = c.p.Call(unix.SYS_GETPID).Label("go on as the child")
}

// Exit adds the end of the process.
func (p *Program) Exit(code int) *Call {
	return p.Call(unix.SYS_EXIT_GROUP, code)
}

// SetStep makes n the step that the following calls belong to: what Describe returns.
func (p *Program) SetStep(n int) { p.step = n }

// SetName gives the image a name, which is what a process that walks it has as its
// executable; by default it is that of init.
func (p *Program) SetName(name string) { p.name = name }

// Describe says what the call with this index is: its label and its step.
func (p *Program) Describe(index int) (label string, step int) {
	if index < 0 || index >= len(p.calls) {
		return fmt.Sprintf("call %d", index), -1
	}
	c := p.calls[index]
	if c.label == "" {
		return fmt.Sprintf("system call %d", c.trap), c.step
	}
	return c.label, c.step
}

// Len is the number of calls so far.
func (p *Program) Len() int { return len(p.calls) }

// Bytes places data, aligned to 16 bytes, and returns its address.
func (p *Program) Bytes(b []byte) Addr {
	p.header()
	at := (len(p.heap) + 15) &^ 15
	p.heap = append(p.heap, make([]byte, at-len(p.heap))...)
	p.heap = append(p.heap, b...)
	return heapBase + Addr(at)
}

// Put changes data that was placed: what was not known when it was.
func (p *Program) Put(at Addr, b []byte) {
	from := int(at) - int(heapBase)
	if from < 0 || from+len(b) > len(p.heap) {
		p.fault("%d bytes are put at %#x, which is not in the data", len(b), uintptr(at))
		return
	}
	copy(p.heap[from:], b)
}

// String places a string and its final NUL byte.
func (p *Program) String(s string) Addr {
	b := make([]byte, len(s)+1)
	copy(b, s)
	return p.Bytes(b)
}

// Words places native 64-bit words: addresses or numbers.
func (p *Program) Words(words ...uint64) Addr {
	b := make([]byte, 0, 8*len(words))
	for _, w := range words {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	return p.Bytes(b)
}

// Strings places a list of strings as execve wants it: pointers, the last one null.
func (p *Program) Strings(list []string, more ...Addr) Addr {
	words := make([]uint64, 0, len(list)+len(more)+1)
	for _, s := range list {
		words = append(words, uint64(p.String(s)))
	}
	for _, a := range more {
		words = append(words, uint64(a))
	}
	return p.Words(append(words, 0)...)
}

// Slot places a slot that holds v until a call keeps its result in it.
func (p *Program) Slot(v int32) Slot {
	return Slot(p.Bytes(binary.NativeEndian.AppendUint32(nil, uint32(v))))
}

// FirstFile says which descriptor the first inherited file gets; by default 3. It must be
// called before Inherit.
func (p *Program) FirstFile(n int) {
	if len(p.files) > 0 {
		p.fault("first descriptor set after a file was inherited")
	}
	p.first = n
}

// Inherit gives the program an open file and returns the descriptor it will have. The
// caller keeps its own.
func (p *Program) Inherit(f *os.File) int {
	p.files = append(p.files, f)
	return p.Base() + len(p.files) - 1
}

// Base is the descriptor of the first inherited file.
func (p *Program) Base() int {
	if p.first == 0 {
		return 3
	}
	return p.first
}

// Files are the inherited files, in the order of their descriptors from Base.
func (p *Program) Files() []*os.File { return p.files }

// Find returns the index of the call with this label, or -1.
func (p *Program) Find(label string) int {
	for _, c := range p.calls {
		if c.label == label {
			return c.index
		}
	}
	return -1
}
