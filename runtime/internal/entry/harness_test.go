package entry

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// emulator is set by TestOtherArchitectures for the tests of another architecture, which
// run under a user-mode emulator: an image is then started through it, from a file,
// because the host's kernel cannot execute it.
const emulator = "OCIRT_TEST_EMULATOR"

// native is for tests that look at what only the machine's own kernel does.
func native(t *testing.T) {
	t.Helper()
	need.Feature(t, "native", os.Getenv(emulator) == "", "runs under "+os.Getenv(emulator))
}

// launch starts p. The process is killed when it lives longer than any test does.
func launch(t *testing.T, p *Program, stdio []*os.File) (pid int) {
	t.Helper()
	var err error
	if emulator := os.Getenv(emulator); emulator == "" {
		pid, err = p.Start(stdio, nil)
	} else {
		var b []byte
		if b, err = p.encode(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(path, b, 0o700); err != nil {
			t.Fatal(err)
		}
		pid, err = p.forkExec(emulator, []string{"qemu", path}, stdio, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// wait returns the status of a process and kills it if it takes too long.
func wait(t *testing.T, pid int) (status syscall.WaitStatus) {
	t.Helper()
	late := time.AfterFunc(20*time.Second, func() { syscall.Kill(pid, syscall.SIGKILL) })
	defer late.Stop()
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if err == nil {
			return status
		}
		if err != syscall.EINTR {
			t.Fatal(err)
		}
	}
}

// socketpair returns our end and the program's end of a report socket.
func socketpair(t *testing.T, flags int) (ours int, theirs *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]) })
	theirs = os.NewFile(uintptr(pair[1]), "theirs")
	t.Cleanup(func() { theirs.Close() })
	return pair[0], theirs
}

// run starts p with a report socket and its stdout in a file, and returns what it printed,
// the records it sent and its status.
func run(t *testing.T, p *Program) (out string, records []Record, status syscall.WaitStatus) {
	t.Helper()
	stdout, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	ours, theirs := socketpair(t, 0)
	p.ReportTo(p.Inherit(theirs))
	pid := launch(t, p, []*os.File{os.Stdin, stdout, os.Stderr})
	theirs.Close()
	status = wait(t, pid)
	b, err := os.ReadFile(stdout.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b), readRecords(t, ours), status
}

// readRecords returns what a program that has ended said.
func readRecords(t *testing.T, sock int) (records []Record) {
	t.Helper()
	for _, m := range readAll(t, sock) {
		r, ok := ParseRecord(m)
		if !ok {
			t.Fatalf("record %q", m)
		}
		records = append(records, r)
	}
	return records
}

// readAll returns the messages that wait in a socket.
func readAll(t *testing.T, sock int) (messages [][]byte) {
	t.Helper()
	for {
		b := make([]byte, 1<<16)
		n, _, err := unix.Recvfrom(sock, b, unix.MSG_DONTWAIT)
		if n <= 0 || err != nil {
			return messages
		}
		messages = append(messages, b[:n])
	}
}

// cloneArgs are the arguments of clone(2) without a stack. s390x has the stack first.
func cloneArgs(flags int) []any {
	if runtime.GOARCH == "s390x" {
		return []any{0, flags, 0, 0, 0}
	}
	return []any{flags, 0, 0, 0, 0}
}
