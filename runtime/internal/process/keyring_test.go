package process

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// A keyring of the container's name that another user has made beforehand is not joined:
// its maker would read the container's keys.
func TestKeyringOfStranger(t *testing.T) {
	need.Root(t)
	const id = "ocirt-keyring-stranger-test"
	made, end := make(chan int), make(chan struct{})
	defer close(end)
	defer func() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) }() // the change of user ends it
	go func() {
		runtime.LockOSThread() // and never unlocked: the user ends with the thread
		unix.RawSyscall(unix.SYS_SETRESUID, 1000, 1000, 1000)
		n, err := unix.KeyctlJoinSessionKeyring("_ses." + id)
		if err == nil {
			err = unix.KeyctlSetperm(unix.KEY_SPEC_SESSION_KEYRING, 0x3f3f3f3f)
		}
		if err != nil {
			t.Error(err)
		}
		made <- n
		<-end
	}()
	strangers := <-made
	if t.Failed() {
		return
	}
	in := input()
	in.ID = id
	in.Options.NoNewKeyring = false
	show := func(_ *step.Input, emit step.Emit) error { emit("test", printKeyring{}); return nil }
	out := run(t, in, start{funcs: []compileFunc{SessionKeyring, show}}).ok(t).Out
	if got := int(int32(binary.NativeEndian.Uint32([]byte(out)))); got == strangers {
		t.Errorf("keyring %x is the stranger's", got)
	}
	joined := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := JoinSessionKeyring(id)
		if got, getErr := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false); err == nil && (getErr != nil || got == strangers) {
			err = fmt.Errorf("keyring %x is the stranger's, %w", got, getErr)
		}
		joined <- err
	}()
	if err := <-joined; err != nil {
		t.Error(err)
	}
}
