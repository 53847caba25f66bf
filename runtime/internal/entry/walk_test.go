package entry

import (
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
