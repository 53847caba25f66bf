package attend

import (
	"encoding/binary"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// A Duty is what a process that waits for a container has to do. Numbers of descriptors are
// those it has.
type Duty struct {
	Name string // of the process, at most 15 bytes
	Init int    // pidfd of its child, the container's first process
	Lock int    // open file of the container's lock, which it has until the container is started

	// Processors are those it may run on (sched_setaffinity(2)); nil: those it does.
	Processors []byte

	// Start is whether it begins while init is about to become the container's program.
	Start bool

	// Caught is a pipe, without anybody who writes to it any more, of signals as 32-bit
	// numbers that came before; Signals is a signalfd(2) of those to pass on, and Orphans
	// one of SIGCHLD, or -1 if other children are not to be waited for. Both do not block.
	Caught, Signals, Orphans int

	Removal *Removal // nil: the container stays
	Again   Again
}

// A Removal is all there is of a container that has ended.
type Removal struct {
	Groups []string // its cgroups, each before those it lies in
	Root   int      // the directory that has that of the container,
	ID     string   // by this name
	Dir    int      // the container's directory
	Files  []string // in it, in this order
	Record string   // one of them, which must not have changed
}

// Again is how ocirt takes over: a program, and of the descriptors those that it does not get.
type Again struct {
	Program   int // a descriptor
	Argv, Env []string
	Drop      []int
	Room      int // for one more string of Env, which Complete says
}

// A Stamp is a file as it is at a moment (statx(2), stx_ino and stx_ctime): a change makes
// another one of it.
type Stamp struct {
	Inode       uint64
	Seconds     int64
	Nanoseconds uint32
}

// Late is what is known last.
type Late struct {
	Record Stamp

	// Conn is the connection to init while it starts, and Root its root: both are closed
	// when it has.
	Conn, Root int

	// Starting and Running are for the environment of ocirt when it takes over.
	Starting, Running string
}

// A Text is the program of a duty.
type Text struct {
	*entry.Program
	conn, root entry.Slot
	stamp      []entry.Slot
	marks      map[bool]entry.Addr // whether it starts
	room       int
}

// Complete says what is known last.
func (t *Text) Complete(l Late) {
	ne := binary.NativeEndian
	put := func(s entry.Slot, v uint32) { t.Put(entry.Addr(s), ne.AppendUint32(nil, v)) }
	put(t.conn, uint32(l.Conn))
	put(t.root, uint32(l.Root))
	words := l.Record.words()
	for i, s := range t.stamp {
		put(s, words[i])
	}
	for starting, mark := range map[bool]string{true: l.Starting, false: l.Running} {
		if at := t.marks[starting]; at != 0 {
			t.Put(at, append([]byte(mark), make([]byte, max(t.room-len(mark), 1))...))
		}
	}
}

// words are the stamp as the kernel writes it, in the order of stampAt.
func (s Stamp) words() (words []uint32) {
	ne := binary.NativeEndian
	b := ne.AppendUint64(ne.AppendUint64(nil, s.Inode), uint64(s.Seconds))
	for b = ne.AppendUint32(b, s.Nanoseconds); len(b) > 0; b = b[4:] {
		words = append(words, ne.Uint32(b))
	}
	return words
}

// Places in struct statx (statx(2)).
const (
	statxSize    = 256
	statxInode   = 32
	statxChanged = 96
)

// stampAt are the places of the words of a Stamp in struct statx.
var stampAt = []entry.Addr{statxInode, statxInode + 4, statxChanged, statxChanged + 4, statxChanged + 8}

// failed is the status if ocirt cannot be executed again, which cannot be foreseen.
const failed = 1

// patience is how long init may take to become the container's program, in seconds, before
// ocirt has a look at it.
const patience = 1

// siginfo_t of a child (sigaction(2)), on all architectures that there are here.
const (
	infoSize   = 128
	infoCode   = 8
	infoStatus = 24

	codeExited = 1 // CLD_EXITED
)

// signalInfoSize is that of struct signalfd_siginfo (signalfd(2)), which begins with the
// number.
const signalInfoSize = 128
