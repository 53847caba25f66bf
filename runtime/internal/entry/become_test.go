package entry

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const becoming = "OCIRT_TEST_BECOME"

// TestBecome is run once more as the process that is replaced.
func TestBecome(t *testing.T) {
	native(t)
	if os.Getenv(becoming) != "" {
		become(t)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestBecome$")
	cmd.Env = append(os.Environ(), becoming+"=1")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 9 || !strings.HasSuffix(string(out), "/memfd:my-name (deleted)one\x00two\x00") {
		t.Errorf("%v: %q", err, out)
	}
}

func become(t *testing.T) {
	runtime.LockOSThread()
	var p Program
	p.SetName("my-name")
	buf := p.Bytes(make([]byte, 256))
	n := p.Call(unix.SYS_READLINKAT, unix.AT_FDCWD, p.String("/proc/self/exe"), buf, 256).Keep()
	p.Call(unix.SYS_WRITE, 1, buf, n)
	f := p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String("/proc/self/cmdline"), unix.O_RDONLY).Keep()
	n = p.Call(unix.SYS_READ, f, buf, 256).Keep()
	p.Call(unix.SYS_WRITE, 1, buf, n)
	p.Exit(9)
	image, err := p.Image()
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if err := Become(image, []string{"one\x00"}); err == nil {
		t.Error("a NUL byte in an argument")
	}
	t.Fatal(Become(image, []string{"one", "two"}))
}

// What cannot be executed leaves the process as it is.
func TestBecomeNothing(t *testing.T) {
	native(t)
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Become(f, []string{"x"}); err == nil || !strings.Contains(err.Error(), "cannot execute /dev/null: permission denied") {
		t.Errorf("%v", err)
	}
}
