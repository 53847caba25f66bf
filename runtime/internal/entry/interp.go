package entry

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Kernel answers the system calls of a program that is interpreted: a real kernel's
// part, or a pretence.
type Kernel interface {
	// Syscall returns the result of the call, or an errno, negated, as Linux does:
	// -4095 to -1. An error ends the interpretation.
	Syscall(Syscall) (result int64, err error)
}

// A Syscall is a system call with its arguments as the kernel gets them: slots replaced
// by their content.
type Syscall struct {
	Index  int // of the call; -1 for the walker's own sending of a failure's record
	Trap   uintptr
	Args   [6]uintptr
	Memory *Memory
}

// A Walk is what an interpretation did.
type Walk struct {
	Done     []Done
	Failed   *Record // of the call that failed, if one did
	Executed bool    // ended by an execve that did not fail
	Status   int     // otherwise the exit status
	Memory   *Memory // as it is at the end
}

// Done is a system call and its result.
type Done struct {
	Syscall
	Result int64
}

// maxWalk is where Interpret gives a program up. ElseBack can make one that has no end.
const maxWalk = 1 << 18

// ErrEndless is returned by Interpret for a program that makes more than 262144 calls.
var ErrEndless = errors.New("program does not end")

// Interpret does in Go what the walkers do in assembler, reading the same image, with k
// for the kernel. It changes neither the program nor the process, except through k. Exit
// and exit_group end the walk; k does not see them. After a call that forks, k decides by
// its answer which of the two processes is looked at: zero makes it the child.
func (p *Program) Interpret(k Kernel) (*Walk, error) {
	b, err := p.encode()
	if err != nil {
		return nil, err
	}
	w := &Walk{Memory: &Memory{b[dataAt:]}}
	at, err := w.Memory.word(dataBase)
	for range maxWalk {
		var c coded
		if err == nil {
			c, err = w.Memory.call(at)
		}
		if err != nil {
			return w, err
		}
		var end bool
		at, end, err = w.step(k, c)
		if end || err != nil {
			return w, err
		}
	}
	return w, ErrEndless
}

// step makes one call and says where to go on.
func (w *Walk) step(k Kernel, c coded) (next Addr, end bool, err error) {
	if c.Trap == unix.SYS_EXIT_GROUP || c.Trap == unix.SYS_EXIT {
		w.Status = int(c.Args[0] & 0xff)
		return 0, true, nil
	}
	result, err := k.Syscall(c.Syscall)
	if err != nil {
		return 0, true, fmt.Errorf("cannot interpret call %d: %w", c.Index, err)
	}
	w.Done = append(w.Done, Done{c.Syscall, result})
	if result < 0 && result >= -4095 {
		if errno := syscall.Errno(-result); !c.allows(errno) {
			return 0, true, w.fail(k, c, errno)
		}
		return c.next, false, nil
	}
	if c.Trap == unix.SYS_EXECVE || c.Trap == unix.SYS_EXECVEAT {
		w.Executed = true
		return 0, true, nil
	}
	if c.keep != 0 {
		if err := w.Memory.putUint32(c.keep, uint32(result)); err != nil {
			return 0, true, err
		}
	}
	if result == 0 && c.onZero != 0 {
		return c.onZero, false, nil
	}
	return c.next, false, nil
}

// fail sends the record of a failure. Whether that succeeds makes no difference.
func (w *Walk) fail(k Kernel, c coded, errno syscall.Errno) error {
	const record = dataBase + 24
	report, err := w.Memory.uint32(dataBase + 16)
	if err != nil {
		return err
	}
	w.Failed = &Record{Call: c.Index, Errno: errno}
	w.Status = 1
	w.Memory.putUint32(record, uint32(c.Index))
	w.Memory.putUint32(record+4, uint32(errno))
	_, err = k.Syscall(Syscall{
		Index: -1, Trap: unix.SYS_SENDTO, Memory: w.Memory,
		Args: [6]uintptr{uintptr(int32(report)), record, RecordSize, unix.MSG_NOSIGNAL},
	})
	return err
}

// coded is a call as it stands in the image, its slots followed.
type coded struct {
	Syscall
	flags  uint16
	errnos uint32
	keep   Addr
	onZero Addr
	next   Addr
}

func (c coded) allows(e syscall.Errno) bool {
	if c.flags&flagAny != 0 {
		return true
	}
	for errnos := c.errnos; errnos != 0; errnos >>= 8 {
		if syscall.Errno(errnos&0xff) == e {
			return true
		}
	}
	return false
}

// Memory is the data segment of a program that is interpreted.
type Memory struct{ data []byte }

// Bytes returns the n bytes at an address, which may be written to. The error is EFAULT
// if they are not all data of the program.
func (m *Memory) Bytes(a Addr, n int) ([]byte, error) {
	if a < dataBase || n < 0 || uint64(a-dataBase)+uint64(n) > uint64(len(m.data)) {
		return nil, fmt.Errorf("address %#x: %w", uintptr(a), unix.EFAULT)
	}
	at := int(a - dataBase)
	return m.data[at : at+n : at+n], nil
}

// Text returns the string, ended by a NUL byte, at an address.
func (m *Memory) Text(a Addr) (string, error) {
	if _, err := m.Bytes(a, 0); err != nil {
		return "", err
	}
	text, _, found := bytes.Cut(m.data[a-dataBase:], []byte{0})
	if !found {
		return "", fmt.Errorf("address %#x: %w", uintptr(a), unix.EFAULT)
	}
	return string(text), nil
}

// call reads the call at an address. See Call.encode.
func (m *Memory) call(a Addr) (c coded, err error) {
	b, err := m.Bytes(a, callSize)
	if err != nil {
		return c, err
	}
	word := func(n int) uint64 { return binary.NativeEndian.Uint64(b[8*n:]) }
	control := word(7)
	c.Syscall = Syscall{Index: int(control >> 48), Trap: uintptr(word(0)), Memory: m}
	c.flags, c.errnos = uint16(control), uint32(control>>16)
	c.keep, c.onZero, c.next = Addr(word(8)), Addr(word(9)), a+callSize
	for i := range c.Args {
		c.Args[i] = uintptr(word(1 + i))
		if c.flags&(1<<i) == 0 {
			continue
		}
		v, err := m.uint32(Addr(c.Args[i]))
		if err != nil {
			return c, err
		}
		c.Args[i] = uintptr(int32(v))
	}
	return c, nil
}

func (m *Memory) word(a Addr) (Addr, error) {
	b, err := m.Bytes(a, 8)
	if err != nil {
		return 0, err
	}
	return Addr(binary.NativeEndian.Uint64(b)), nil
}

func (m *Memory) uint32(a Addr) (uint32, error) {
	b, err := m.Bytes(a, 4)
	if err != nil {
		return 0, err
	}
	return binary.NativeEndian.Uint32(b), nil
}

func (m *Memory) putUint32(a Addr, v uint32) error {
	b, err := m.Bytes(a, 4)
	if err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(b, v)
	return nil
}
