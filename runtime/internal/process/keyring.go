package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// JoinKeyring gives the process a session keyring of its container, so that it cannot see
// the keys of ocirt's caller.
type JoinKeyring struct {
	Name string

	// OfRoot: only a keyring of root's is joined. Any user of the host can make one of this
	// name beforehand, and would read every key that the container puts into it; then the
	// process gets one without a name.
	OfRoot bool
}

// SessionKeyring compiles the keyring of the container, unless --no-new-keyring was given.
func SessionKeyring(in *step.Input, emit step.Emit) error {
	if in.Process != nil && !in.Options.NoNewKeyring {
		// In a user namespace the names are its own.
		root := in.Facts.EUID == 0 && in.Facts.EGID == 0 && !in.UserNS()
		emit("ocirt", JoinKeyring{"_ses." + in.ID, root})
	}
	return nil
}

func (s JoinKeyring) String() string { return "join session keyring " + word(s.Name) }

const (
	sessionKeyring = -3 // KEY_SPEC_SESSION_KEYRING

	// What the kernel gives a session keyring (all to a possessor; view, read and link to
	// its user), and search for its user: without it a second process could not join by
	// name (keyctl(2), KEYCTL_SETPERM).
	keyringPermissions = 0x3f1b0000
)

// Lower writes the calls. A kernel without keyrings has nothing to hide.
func (s JoinKeyring) Lower(i *step.Init) error {
	i.Call(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, i.String(s.Name), 0, 0, 0).
		May(unix.ENOSYS).Label("join session keyring " + word(s.Name))
	if s.OfRoot {
		s.avoidStranger(i)
	}
	i.Call(unix.SYS_KEYCTL, unix.KEYCTL_SETPERM, sessionKeyring, keyringPermissions, 0, 0).
		May(unix.ENOSYS).Label("set permissions of session keyring")
	return nil
}

// A keyring is described as "keyring;UID;GID;PERMISSIONS;NAME" (keyctl(2), KEYCTL_DESCRIBE).
const (
	ofRoot   = "keyring;0;0;"
	ofRootAt = 8 // where its last four bytes begin
)

// avoidStranger writes the calls that leave a keyring that is not root's. The comparison is
// the kernel's: FUTEX_CMP_REQUEUE, told to wake and move no one, only looks whether a word
// has a value (futex(2)).
func (s JoinKeyring) avoidStranger(i *step.Init) {
	const cmpRequeue = 4 | 128 // FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG
	size := len(ofRoot) + len("3f1b0000;") + len(s.Name) + 1
	text := i.Bytes(make([]byte, size))
	i.Call(unix.SYS_KEYCTL, unix.KEYCTL_DESCRIBE, sessionKeyring, text, size, 0).May().Label("describe session keyring")
	owner := binary.NativeEndian.Uint32([]byte(ofRoot[ofRootAt:]))
	i.Call(unix.SYS_FUTEX, text+ofRootAt, cmpRequeue, 0, 0, text+ofRootAt, owner).
		May(unix.EAGAIN).Label("compare the keyring's owner").Fork(func(p *entry.Program) {
		// Passed over unless the owner is another.
		p.Call(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0).
			May(unix.ENOSYS).Label("join a session keyring without a name")
	})
}

// Explain adds to the errno of a call of Lower.
func (s JoinKeyring) Explain(errno syscall.Errno) string {
	if errno == unix.EDQUOT {
		return "the user's quota of kernel keys is used up (see /proc/key-users; " +
			"sysctls kernel.keys.maxkeys and kernel.keys.maxbytes, " +
			"kernel.keys.root_maxkeys and kernel.keys.root_maxbytes for root); " +
			"--no-new-keyring goes without a keyring"
	}
	return ""
}

// JoinSessionKeyring gives the calling thread, and what it starts, a session keyring of a
// container.
func JoinSessionKeyring(id string) error {
	_, err := unix.KeyctlJoinSessionKeyring("_ses." + id)
	if err == nil {
		// As in JoinKeyring.
		text, descErr := unix.KeyctlString(unix.KEYCTL_DESCRIBE, sessionKeyring)
		if os.Geteuid() == 0 && os.Getegid() == 0 && (descErr != nil || !strings.HasPrefix(text, ofRoot)) {
			_, err = unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
		}
	}
	if err == nil {
		err = unix.KeyctlSetperm(sessionKeyring, keyringPermissions)
	}
	if err != nil && !errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("cannot join a session keyring: %w", err)
	}
	return nil
}
