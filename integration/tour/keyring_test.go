package tour

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// A key of the caller is out of the container's reach, unless it was to be left in it.
func TestKeysOfCaller(t *testing.T) {
	s := asRoot(t)
	runtime.LockOSThread() // and never unlocked: the keyring goes with the thread
	if _, err := unix.KeyctlJoinSessionKeyring("ocirt-tour"); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.AddKey("user", "ocirt-tour-secret", []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
		t.Fatal(err)
	}
	b := s.bundle(t, lab.Check("try-key", "ocirt-tour-secret"))
	if got := s.runtime.Run(b).OK().Stdout; got != "required key not available\n" {
		t.Errorf("the key of the caller: %q", got)
	}
	if got := s.runtime.Run(b, "--no-new-keyring").OK().Stdout; got != "ok\n" {
		t.Errorf("with --no-new-keyring: %q", got)
	}
}

// Two containers have two keyrings.
func TestKeysOfAnotherContainer(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.runtime.Launch(s.bundle(t, lab.Check("add-key", "ocirt-tour-mine", "--", "try-key", "ocirt-tour-mine", "--", "sleep", "forever")))
		if got := c.Line(1); got != "ok" {
			t.Fatalf("its own key: %q", got)
		}
		if got := s.runtime.Run(s.bundle(t, lab.Check("try-key", "ocirt-tour-mine"))).OK().Stdout; got != "required key not available\n" {
			t.Errorf("the key of another container: %q", got)
		}
	})
}

// Whose quota of keys is used up reads what to do about it.
func TestQuotaOfKeys(t *testing.T) {
	need.Root(t)
	s := asUser(t)
	fill := exec.Command(lab.Inside(), "fill-keys")
	fill.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.runtime.User), Gid: uint32(s.runtime.User)}}
	in, err := fill.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.CreateTemp(lab.Dir(t), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	fill.Stdout, fill.Stderr = out, out
	if err := fill.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = fill.Wait()
	}()
	full := func() bool { text, _ := os.ReadFile(out.Name()); return strings.HasPrefix(string(text), "full") }
	if !lab.Eventually(full) {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("the quota is not used up: %s", text)
	}
	b := s.bundle(t, lab.Check("pid"))
	s.runtime.Run(b).Failed("join session keyring", "disk quota exceeded", "quota of kernel keys", "--no-new-keyring")
	s.runtime.Run(b, "--no-new-keyring").OK()
}
