package entry

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// noexec starts this test once more as the first process of a pid namespace, of which the
// sysctl is a property, and returns true there.
func noexec(t *testing.T) bool {
	t.Helper()
	const sysctl, inside = "/proc/sys/vm/memfd_noexec", "OCIRT_TEST_NOEXEC"
	native(t)
	need.Root(t)
	_, err := os.Stat(sysctl)
	need.Feature(t, "memfd_noexec", err == nil, "no sysctl vm.memfd_noexec (Linux 6.3)")
	if os.Getenv(inside) != "" {
		if err := os.WriteFile(sysctl, []byte("2"), 0); err != nil {
			t.Fatal(err)
		}
		return true
	}
	before, err := os.ReadFile(sysctl)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/proc/self/exe", "-test.v", "-test.run=^"+t.Name()+"$")
	c.Env = append(os.Environ(), inside+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	if after, err := os.ReadFile(sysctl); err != nil || string(after) != string(before) {
		t.Errorf("the sysctl of the machine changed from %s to %s, %v", before, after, err)
	}
	return false
}

func TestNoExecutableMemoryFiles(t *testing.T) {
	if !noexec(t) {
		return
	}
	_, err := testProgram().Image()
	if !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "vm.memfd_noexec") {
		t.Errorf("error %v does not name the sysctl", err)
	}
	dir := t.TempDir()
	p := &Program{}
	p.SetFallbackDir(dir)
	p.print("done")
	p.Exit(5)
	// The same harness as everywhere; the caller's umask must not matter.
	defer unix.Umask(unix.Umask(0o777))
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pid, err := p.Start([]*os.File{null, w, os.Stderr}, nil)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if status := wait(t, pid); status.ExitStatus() != 5 {
		t.Errorf("status %#x", status)
	}
	b := make([]byte, 16)
	if n, _ := r.Read(b); string(b[:n]) != "done" {
		t.Errorf("printed %q", b[:n])
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestUnlinkedFile(t *testing.T) {
	dir := t.TempDir()
	f, err := unlinkedFile(dir, []byte("abc"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("it can be written")
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Nlink != 0 || st.Mode&0o777 != 0o755 || st.Size != 3 {
		t.Errorf("%+v, %v", st, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	_, err = unlinkedFile(dir+"/absent", nil)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "vm.memfd_noexec") {
		t.Errorf("error %v", err)
	}
}

func TestUnlinkedFileWhereNothingIsExecuted(t *testing.T) {
	native(t)
	need.Root(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_NOEXEC, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	_, err := unlinkedFile(dir, []byte("abc"))
	if !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "noexec") {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// A file cannot be executed while a child of another goroutine has inherited the
// descriptor that it was written through.
func TestUnlinkedFileWhileOthersFork(t *testing.T) {
	native(t)
	dir := t.TempDir()
	p := &Program{}
	p.Exit(9)
	b, err := p.encode()
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				f, err := unlinkedFile(dir, b)
				if err != nil {
					t.Error(err)
					return
				}
				pid, err := p.forkExec("/proc/self/fd/"+fdName(f), []string{"init"}, []*os.File{os.Stdin, os.Stdout, os.Stderr}, nil)
				f.Close()
				if err != nil {
					t.Error(err)
					return
				}
				if status := wait(t, pid); status.ExitStatus() != 9 {
					t.Errorf("status %#x", status)
				}
			}
		})
	}
	all.Wait()
}
