package entry

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func (p *Program) print(s string) *Call {
	return p.Call(unix.SYS_WRITE, 1, p.String(s), len(s))
}

func TestCallsInOrder(t *testing.T) {
	var p Program
	p.print("one ")
	p.print("two")
	p.Exit(7)
	out, records, status := run(t, &p)
	if out != "one two" || len(records) != 0 || status.ExitStatus() != 7 {
		t.Errorf("got %q, %v, %v", out, records, status)
	}
}

func TestFailureIsReported(t *testing.T) {
	var p Program
	p.print("before ")
	p.Call(unix.SYS_CLOSE, 999).Label("close nothing")
	p.print("after")
	_, records, status := run(t, &p)
	if len(records) != 1 || records[0] != (Record{Call: 1, Errno: unix.EBADF}) || status.ExitStatus() != 1 {
		t.Fatalf("got %v, %v", records, status)
	}
	if label, _ := p.Describe(records[0].Call); label != "close nothing" {
		t.Errorf("label %q", label)
	}
}

func TestAllowedErrnos(t *testing.T) {
	var p Program
	p.Call(unix.SYS_CLOSE, 999).May()
	p.Call(unix.SYS_CLOSE, 999).May(unix.EPERM, unix.EINTR, unix.ENOSYS, unix.EBADF)
	p.Call(unix.SYS_CLOSE, 999).May(unix.EPERM, unix.EINVAL)
	_, records, _ := run(t, &p)
	if len(records) != 1 || records[0].Call != 2 {
		t.Errorf("got %v", records)
	}
}

func TestSlots(t *testing.T) {
	var p Program
	dup := p.Call(unix.SYS_DUP, 1).Keep()
	p.Call(unix.SYS_WRITE, dup, p.String("kept"), 4)
	note := p.Note()
	p.Call(unix.SYS_DUP, dup).KeepIn(note.Value)
	p.TellNote("fd", note)
	p.Exit(0)
	out, records, _ := run(t, &p)
	if out != "kept" || len(records) != 1 || records[0].Value < 3 || records[0].Errno != 0 {
		t.Errorf("got %q, %v", out, records)
	}
}

func TestFork(t *testing.T) {
	var p Program
	p.Call(unix.SYS_CLONE, cloneArgs(int(unix.SIGCHLD))...).Fork(func(p *Program) {
		p.Call(unix.SYS_WAIT4, -1, 0, 0, 0)
		p.print("parent")
		p.Exit(3)
	})
	p.print("child ")
	p.Exit(4)
	out, _, status := run(t, &p)
	if out != "child parent" || status.ExitStatus() != 3 {
		t.Errorf("got %q, %v", out, status)
	}
}

func TestExecve(t *testing.T) {
	var p Program
	p.Call(unix.SYS_EXECVE, p.String("/bin/sh"), p.Strings([]string{"sh", "-c", "echo $0 $A; ls /proc/self/fd | wc -l"}), p.Strings([]string{"A=b", "PATH=/bin:/usr/bin"}))
	out, records, _ := run(t, &p)
	if !strings.HasPrefix(out, "sh b\n") || len(records) != 0 {
		t.Errorf("got %q, %v", out, records)
	}
}

// Each argument can be a slot, whose 32 bits are a signed number. The calls succeed if the
// slot's address is passed, or its content as an unsigned number.
func TestSlotInEveryPlace(t *testing.T) {
	const size = 65536
	for n, write := range []func(*Program) *Call{
		func(p *Program) *Call { return p.Call(unix.SYS_MUNMAP, p.Slot(-size), size) },
		func(p *Program) *Call { return p.Call(unix.SYS_FTRUNCATE, 1, p.Slot(-1)) },
		func(p *Program) *Call { return p.Call(unix.SYS_FALLOCATE, 1, 0, p.Slot(-1), 1) },
		func(p *Program) *Call { return p.Call(unix.SYS_PREAD64, 1, p.String("x"), 1, p.Slot(-1)) },
		func(p *Program) *Call {
			const requeue = 3 // futex(2): fails if its second address is not aligned
			return p.Call(unix.SYS_FUTEX, Addr(p.Slot(0)), requeue, 0, 0, p.Slot(1), 0)
		},
		func(p *Program) *Call {
			const wakeBitset = 10 // futex(2): fails without a bit in its last argument
			return p.Call(unix.SYS_FUTEX, Addr(p.Slot(0)), wakeBitset, 1, 0, 0, p.Slot(0))
		},
	} {
		if n == 0 && os.Getenv(emulator) != "" {
			continue // qemu 7.2 dies of an unmapping that it should refuse
		}
		var p Program
		c := write(&p)
		if c.args[n] == 0 || c.flags&(1<<n) == 0 {
			t.Fatalf("argument %d is no slot", n)
		}
		p.Exit(0)
		_, records, status := run(t, &p)
		if len(records) != 1 || records[0] != (Record{Errno: unix.EINVAL}) {
			t.Errorf("slot in argument %d: records %v, status %#x", n, records, status)
		}
	}
}

// A peer that hung up must not turn a failure into a death by SIGPIPE.
func TestFailureWithoutPeer(t *testing.T) {
	var p Program
	at := p.Tell("begun")
	p.Call(unix.SYS_RECVFROM, p.Report(), p.String("x"), 1, 0, 0, 0)
	p.Call(unix.SYS_CLOSE, 999)
	pid, ours := begin(t, &p)
	if r := receive(t, ours); r.Call != at {
		t.Fatalf("record %+v", r)
	}
	unix.Shutdown(ours, unix.SHUT_RDWR)
	if status := wait(t, pid); !status.Exited() || status.ExitStatus() != 1 {
		t.Errorf("status %#x, want exit 1", status)
	}
}

// The highest errno that Linux has room for, and a result that is none.
func TestErrnosEnd(t *testing.T) {
	native(t)
	const (
		load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		jump = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret  = unix.BPF_RET | unix.BPF_K
	)
	filter := []unix.SockFilter{
		{Code: load},
		{Code: jump, Jf: 1, K: unix.SYS_GETPID},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | 4095},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	var b []byte
	for _, f := range filter {
		b = binary.NativeEndian.AppendUint16(b, f.Code)
		b = append(b, f.Jt, f.Jf)
		b = binary.NativeEndian.AppendUint32(b, f.K)
	}
	var p Program
	fprog := make([]byte, 16)
	binary.NativeEndian.PutUint16(fprog, uint16(len(filter)))
	binary.NativeEndian.PutUint64(fprog[8:], uint64(p.Bytes(b)))
	p.Call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	p.Call(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, p.Bytes(fprog))
	p.Call(unix.SYS_GETPID).May()
	p.Call(unix.SYS_GETPID).May(255, 15) // 4095 is 255 in eight bits
	_, records, _ := run(t, &p)
	if len(records) != 1 || records[0] != (Record{Call: 3, Errno: 4095}) {
		t.Errorf("records %v", records)
	}
}
