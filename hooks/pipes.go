package hooks

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipes are the standard streams of one hook: three ends are ours, three the
// child's.
type pipes struct {
	in, out, err                *os.File
	childIn, childOut, childErr *os.File

	stdout, stderr tail
	readers        sync.WaitGroup
}

func openPipes() (*pipes, error) {
	p := &pipes{}
	for _, s := range []struct {
		ours, child **os.File
		input       bool
	}{
		{&p.in, &p.childIn, true},
		{&p.out, &p.childOut, false},
		{&p.err, &p.childErr, false},
	} {
		read, write, err := pipe(s.input)
		if err != nil {
			p.close()
			return nil, err
		}
		if s.input {
			*s.ours, *s.child = write, read
		} else {
			*s.ours, *s.child = read, write
		}
	}
	return p, nil
}

// pipe makes a pipe of which only our end is non-blocking, which is what lets
// deadlines end reading and closing end writing. The child must not see that mode:
// few programs expect it of their standard streams.
func pipe(writeIsOurs bool) (read, write *os.File, err error) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	ours := fds[0]
	if writeIsOurs {
		ours = fds[1]
	}
	if err := syscall.SetNonblock(ours, true); err != nil {
		syscall.Close(fds[0])
		syscall.Close(fds[1])
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fds[0]), "|0"), os.NewFile(uintptr(fds[1]), "|1"), nil
}

// begin feeds the hook and reads what it prints, until finish.
func (p *pipes) begin(input []byte) {
	go func() {
		// No error here is the hook's: it may not care for its input (EPIPE),
		// and finish closes the pipe under a write that blocks.
		_, _ = p.in.Write(input)
		p.in.Close()
	}()
	p.readers.Add(2)
	go p.read(p.out, &p.stdout)
	go p.read(p.err, &p.stderr)
}

func (p *pipes) read(from *os.File, to *tail) {
	defer p.readers.Done()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		to.add(buf[:n])
		if err != nil {
			return // end of file, or finish's deadline
		}
	}
}

// finish is called when the hook has exited. It reads on for at most drain and
// returns the ends of both streams.
func (p *pipes) finish(drain time.Duration) (stdout, stderr string) {
	p.in.Close()
	deadline := time.Now().Add(drain)
	errOut, errErr := p.out.SetReadDeadline(deadline), p.err.SetReadDeadline(deadline)
	if errors.Join(errOut, errErr) != nil {
		// No deadline can be had: closing ends a read just as well.
		p.out.Close()
		p.err.Close()
	}
	p.readers.Wait()
	return p.stdout.String(), p.stderr.String()
}

func (p *pipes) closeChild() {
	p.childIn.Close()
	p.childOut.Close()
	p.childErr.Close()
}

// close closes whatever is still open. Closing twice, or nil, only returns an
// error.
func (p *pipes) close() {
	p.closeChild()
	p.in.Close()
	p.out.Close()
	p.err.Close()
}

// A tail keeps the last captureLimit bytes of what is added to it.
type tail struct {
	buf []byte
}

func (t *tail) add(b []byte) {
	t.buf = append(t.buf, b...)
	// Cutting only at twice the limit moves each byte at most once.
	if len(t.buf) > 2*captureLimit {
		t.cut()
	}
}

func (t *tail) cut() {
	if n := len(t.buf) - captureLimit; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
}

func (t *tail) String() string {
	t.cut()
	return string(t.buf)
}
