package entry

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func fdName(f *os.File) string { return strconv.Itoa(int(f.Fd())) }

// begin starts p with a report socket and returns our end.
func begin(t *testing.T, p *Program) (pid, ours int) {
	t.Helper()
	ours, theirs := socketpair(t, 0)
	p.ReportTo(p.Inherit(theirs))
	pid = launch(t, p, []*os.File{os.Stdin, os.Stdout, os.Stderr})
	theirs.Close()
	return pid, ours
}

// receive waits for one record.
func receive(t *testing.T, sock int) Record {
	t.Helper()
	tv := unix.Timeval{Sec: 20}
	if err := unix.SetsockoptTimeval(sock, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	n, err := unix.Read(sock, b)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := ParseRecord(b[:n])
	if !ok {
		t.Fatalf("record %q", b[:n])
	}
	return r
}

// A container's init waits between create and start, perhaps for days.
func TestWaitingCostsLittle(t *testing.T) {
	native(t)
	var p Program
	at := p.Tell("ready")
	p.Wait("wait")
	p.Exit(0)
	pid, ours := begin(t, &p)
	if r := receive(t, ours); r.Call != at {
		t.Fatalf("record %+v", r)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	unix.Write(ours, []byte("x"))
	wait(t, pid)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kib); n == 1 {
			t.Logf("%d KiB resident", kib)
			if kib > 64 {
				t.Errorf("%d KiB resident, want at most 64", kib)
			}
			return
		}
	}
	t.Errorf("no Rss in %s", b)
}

func TestPeerThatHasGoneEndsTheProcess(t *testing.T) {
	var p Program
	p.Wait("wait")
	p.Exit(7)
	pid, ours := begin(t, &p)
	unix.Shutdown(ours, unix.SHUT_RDWR)
	if status := wait(t, pid); status.ExitStatus() != 1 {
		t.Errorf("status %#x, want exit 1", status)
	}
}

func TestPeerThatSpeaksIsHeard(t *testing.T) {
	var p Program
	p.Wait("wait")
	p.Exit(7)
	pid, ours := begin(t, &p)
	if _, err := unix.Write(ours, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if status := wait(t, pid); status.ExitStatus() != 7 {
		t.Errorf("status %#x, want exit 7", status)
	}
}

// A program that has no end must not walk into what lies behind its calls.
func TestNoEnd(t *testing.T) {
	for _, calls := range []int{0, 1, 100} {
		var p Program
		for range calls {
			p.Call(unix.SYS_GETPID)
		}
		_, records, status := run(t, &p)
		if status.ExitStatus() != 1 || len(records) != 0 {
			t.Errorf("%d calls: status %#x, records %v", calls, status, records)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	var p Program
	p.Call(unix.SYS_CLOSE, 999)
	p.Exit(7)
	pid := launch(t, &p, []*os.File{os.Stdin, os.Stdout, os.Stderr})
	if status := wait(t, pid); status.ExitStatus() != 1 {
		t.Errorf("status %#x, want exit 1", status)
	}
}

func TestFilesAreHandedOver(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	var p Program
	at := p.TellFiles("here", 2, func(files []Slot) {
		for _, s := range files {
			p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String(name), unix.O_RDWR, 0).KeepIn(s)
		}
	})
	payload, files := p.WaitFiles("wait", 16, 2)
	p.Call(unix.SYS_WRITE, files[0], payload, 5)
	p.Call(unix.SYS_WRITE, files[1], payload, 5).Label("write to what was not sent")
	pid, ours := begin(t, &p)
	b, oob := make([]byte, 64), make([]byte, 64)
	n, oobn, _, _, err := unix.Recvmsg(ours, b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := ParseRecord(b[:n]); !ok || r.Call != at {
		t.Errorf("record %q", b[:n])
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%v, %v", messages, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 2 {
		t.Fatalf("%v, %v", fds, err)
	}
	unix.Close(fds[1])
	f := os.NewFile(uintptr(fds[0]), name)
	defer f.Close()
	if err := unix.Sendmsg(ours, []byte("mine!"), unix.UnixRights(fds[0]), nil, 0); err != nil {
		t.Fatal(err)
	}
	wait(t, pid)
	records := readRecords(t, ours)
	if len(records) != 1 || records[0].Errno != unix.EBADF || p.Find("write to what was not sent") != records[0].Call {
		t.Errorf("records %v", records)
	}
	if got := readFile(t, name); got != "mine!s" {
		t.Errorf("the file has %q", got)
	}
}

func TestLargeProgram(t *testing.T) {
	const calls, size = 5000, 2 << 20
	var p Program
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	at := p.Bytes(data)
	for range calls {
		p.Call(unix.SYS_CLOSE, 999).May(unix.EBADF)
	}
	p.Call(unix.SYS_WRITE, 1, at, size)
	p.SetStep(12)
	p.Call(unix.SYS_CLOSE, 999).Label("fail")
	out, records, _ := run(t, &p)
	if out != string(data) {
		t.Errorf("%d bytes written, want %d", len(out), size)
	}
	if len(records) != 1 || records[0].Call != calls+1 {
		t.Fatalf("records %v", records)
	}
	if label, step := p.Describe(records[0].Call); label != "fail" || step != 12 {
		t.Errorf("call %d is %q of step %d", records[0].Call, label, step)
	}
}

func TestTooLarge(t *testing.T) {
	for name, write := range map[string]func(*Program){
		"calls": func(p *Program) {
			for range 1 << 16 {
				p.Call(unix.SYS_GETPID)
			}
		},
		"data": func(p *Program) { p.Bytes(make([]byte, maxImage)) },
	} {
		var p Program
		write(&p)
		if _, err := p.Image(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// The last call that an index can name.
func TestMostCalls(t *testing.T) {
	var p Program
	for range 1<<16 - 2 {
		p.Call(unix.SYS_GETPID)
	}
	p.Call(unix.SYS_CLOSE, 999)
	_, records, _ := run(t, &p)
	if len(records) != 1 || records[0].Call != 1<<16-2 || records[0].Errno != unix.EBADF {
		t.Errorf("records %v", records)
	}
}

// The parent of a fork is a process of its own: what it keeps the child does not see.
func TestForkCopiesMemory(t *testing.T) {
	var p Program
	note := p.Note()
	c := p.Call(unix.SYS_CLONE, cloneArgs(int(unix.SIGCHLD))...).KeepIn(note.Value)
	var parent, child int
	c.Fork(func(p *Program) {
		p.Call(unix.SYS_WAIT4, note.Value, 0, 0, 0)
		parent = p.TellNote("parent", note)
		p.Exit(3)
	})
	note2 := p.Note()
	p.Call(unix.SYS_GETPPID).KeepIn(note2.Value)
	child = p.TellNote("child", note2)
	p.Exit(4)
	pid, ours := begin(t, &p)
	status := wait(t, pid)
	records := readRecords(t, ours)
	if len(records) != 2 || status.ExitStatus() != 3 {
		t.Fatalf("records %v, status %#x", records, status)
	}
	if records[0] != (Record{Call: child, Value: int32(pid)}) {
		t.Errorf("child said %+v, its parent is %d", records[0], pid)
	}
	if r := records[1]; r.Call != parent || r.Value <= 0 || r.Value == int32(pid) {
		t.Errorf("parent said %+v", r)
	}
}

// A failure in either process of a fork is that process's own.
func TestForkThenFailure(t *testing.T) {
	for _, inChild := range []bool{true, false} {
		var p Program
		p.Call(unix.SYS_CLONE, cloneArgs(int(unix.SIGCHLD))...).Fork(func(p *Program) {
			p.Call(unix.SYS_WAIT4, -1, 0, 0, 0)
			if !inChild {
				p.Call(unix.SYS_CLOSE, 999).Label("fail")
			}
			p.Exit(3)
		})
		if inChild {
			p.Call(unix.SYS_CLOSE, 999).Label("fail")
		}
		p.print("child")
		p.Exit(4)
		out, records, status := run(t, &p)
		if len(records) != 1 || records[0].Call != p.Find("fail") {
			t.Errorf("records %v", records)
		}
		if inChild != (out == "") || inChild != (status.ExitStatus() == 3) {
			t.Errorf("in child %v: %q, status %#x", inChild, out, status)
		}
	}
}

// Killed at any moment, the program leaves nothing: no child, no record that is cut.
func TestKilled(t *testing.T) {
	for i := range 30 {
		var p Program
		first := p.Call(unix.SYS_GETPID)
		p.Tell("again")
		p.Call(unix.SYS_LSEEK, 0, 0, unix.SEEK_CUR).May().ElseBack(first)
		p.Call(unix.SYS_GETUID).ElseBack(first)
		p.Exit(0)
		pid, ours := begin(t, &p)
		receive(t, ours)
		time.Sleep(time.Duration(i*20) * time.Microsecond)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if status := wait(t, pid); status.Signal() != syscall.SIGKILL {
			t.Errorf("status %#x", status)
		}
		for _, r := range readRecords(t, ours) {
			if r.Errno != 0 {
				t.Errorf("record %+v", r)
			}
		}
	}
}
