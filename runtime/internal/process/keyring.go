package process

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// JoinKeyring gives the process a session keyring of its container, so that it cannot see
// the keys of ocirt's caller.
type JoinKeyring struct{ Name string }

// SessionKeyring compiles the keyring of the container, unless --no-new-keyring was given.
func SessionKeyring(in *step.Input, emit step.Emit) error {
	if in.Process != nil && !in.Options.NoNewKeyring {
		emit("ocirt", JoinKeyring{"_ses." + in.ID})
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
	i.Call(unix.SYS_KEYCTL, unix.KEYCTL_SETPERM, sessionKeyring, keyringPermissions, 0, 0).
		May(unix.ENOSYS).Label("set permissions of session keyring")
	return nil
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
