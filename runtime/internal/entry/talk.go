package entry

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxRights is how many descriptors the kernel takes in one message (SCM_MAX_FD).
const maxRights = 253

// RecordSize is the length of a Record in bytes.
const RecordSize = 16

// A Record is what a walker says: at a checkpoint, that the program has come this far
// (Errno 0, and a value such as a pid); otherwise which call failed, and how. It is
// {call uint32, errno uint32, value int32, 0} in native byte order.
type Record struct {
	Call  int
	Errno syscall.Errno
	Value int32
}

// ParseRecord reads a record; ok is false if b is not one.
func ParseRecord(b []byte) (r Record, ok bool) {
	if len(b) != RecordSize {
		return Record{}, false
	}
	r.Call = int(binary.NativeEndian.Uint32(b))
	r.Errno = syscall.Errno(binary.NativeEndian.Uint32(b[4:]))
	r.Value = int32(binary.NativeEndian.Uint32(b[8:]))
	return r, true
}

// ReportTo makes the program speak to, and listen on, an inherited SOCK_SEQPACKET socket.
// Without it, nothing is said.
func (p *Program) ReportTo(fd int) {
	p.header()
	binary.NativeEndian.PutUint32(p.heap[0:], uint32(fd))
}

// Report is the slot of the descriptor that the walker speaks to. A call that keeps its
// result in it changes the peer.
func (p *Program) Report() Slot {
	p.header()
	return Slot(heapBase)
}

// header makes sure that the heap begins with the walker's own words: the report
// descriptor, four bytes of padding, and the record of a failure.
func (p *Program) header() {
	if len(p.heap) == 0 {
		p.heap = make([]byte, headerSize, 8<<10)
		binary.NativeEndian.PutUint32(p.heap[0:], ^uint32(0))
	}
}

// A Note is the place of a checkpoint's Record, made before its value is known.
type Note struct {
	at    Addr
	Value Slot // what the peer will find in Record.Value
}

// Note places a record.
func (p *Program) Note() Note {
	at := p.Bytes(make([]byte, RecordSize))
	return Note{at, Slot(at + 8)}
}

// sign fills the index of the call that sends it into a note.
func (p *Program) sign(n Note, c *Call) int {
	binary.NativeEndian.PutUint32(p.heap[n.at-heapBase:], uint32(c.index))
	return c.index
}

// Tell adds a checkpoint: the peer receives a Record whose Call is the returned index.
func (p *Program) Tell(label string) int { return p.TellNote(label, p.Note()) }

// TellNote is Tell with a value.
func (p *Program) TellNote(label string, n Note) int {
	c := p.Call(unix.SYS_SENDTO, p.Report(), n.at, RecordSize, unix.MSG_NOSIGNAL, 0, 0).Label(label)
	return p.sign(n, c)
}

// TellFiles is Tell with n descriptors. The slots to keep them in are given to fill. More
// are values of the registers behind the arguments of sendmsg, which the kernel ignores and
// a seccomp filter can see.
func (p *Program) TellFiles(label string, n int, fill func(files []Slot), more ...any) int {
	if n == 0 {
		return p.Tell(label)
	}
	report := p.Report()
	note := p.Note()
	control, files := p.rights(n, 0)
	msg := p.message(p.Words(uint64(note.at), RecordSize), 1, control, unix.CmsgSpace(4*len(files)))
	fill(files)
	c := p.Call(unix.SYS_SENDMSG, append([]any{report, msg, unix.MSG_NOSIGNAL}, more...)...).Label(label)
	return p.sign(note, c)
}

// rights places a control message with room for n descriptors.
func (p *Program) rights(n int, value int32) (control Addr, files []Slot) {
	if n < 0 || n > maxRights {
		p.fault("%d descriptors in a message", n)
		n = max(n, 0)
	}
	b := make([]byte, unix.CmsgSpace(4*n))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(4*n)))
	binary.NativeEndian.PutUint32(b[8:], unix.SOL_SOCKET)
	binary.NativeEndian.PutUint32(b[12:], unix.SCM_RIGHTS)
	data := unix.CmsgLen(0)
	for i := range n {
		binary.NativeEndian.PutUint32(b[data+4*i:], uint32(value))
	}
	control = p.Bytes(b)
	for i := range n {
		files = append(files, Slot(control+Addr(data+4*i)))
	}
	return control, files
}

// message places a struct msghdr (a layout shared by all 64-bit architectures).
func (p *Program) message(iov Addr, iovlen int, control Addr, controllen int) Addr {
	return p.Words(0, 0, uint64(iov), uint64(iovlen), uint64(control), uint64(controllen), 0)
}

// Wait adds a wait for one byte from the peer. A peer that has gone ends the process.
func (p *Program) Wait(label string) *Call {
	buf := p.Bytes(make([]byte, 8))
	c := p.Call(unix.SYS_RECVFROM, p.Report(), buf, 1, 0, 0, 0).Label(label)
	return c.OrGone()
}

// WaitFiles is Wait for a message with a payload of at most size bytes and at most n
// descriptors. It returns where the payload will be, and the slots of the descriptors,
// which are close-on-exec; what is not sent stays zero, or -1 for a descriptor. The kernel
// takes at most 253 descriptors in a message.
func (p *Program) WaitFiles(label string, size, n int) (payload Addr, files []Slot) {
	return p.WaitFilesFrom(p.Report(), label, size, n)
}

// WaitFilesFrom is WaitFiles for another peer than that of the report.
func (p *Program) WaitFilesFrom(peer Slot, label string, size, n int) (payload Addr, files []Slot) {
	if size < 0 {
		p.fault("payload of %d bytes", size)
		size = 0
	}
	payload = p.Bytes(make([]byte, size))
	var control Addr
	space := 0
	if n != 0 {
		control, files = p.rights(n, -1)
		space = unix.CmsgSpace(4 * len(files))
	}
	msg := p.message(p.Words(uint64(payload), uint64(size)), 1, control, space)
	p.Call(unix.SYS_RECVMSG, peer, msg, unix.MSG_CMSG_CLOEXEC).Label(label).OrGone()
	return payload, files
}

// OrGone ends the process when the call's result is zero: a read from a peer that has gone.
func (c *Call) OrGone() *Call {
	c.p.endings()
	c.onZero = c.p.gone
	return c
}
