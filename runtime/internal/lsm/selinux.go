package lsm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// SetContext puts an SELinux context on the program that the process executes.
type SetContext struct{ Label string }

// LabelKeys puts an SELinux context on the keys that the process makes from here on. It
// ends with execve.
type LabelKeys struct{ Label string }

// SELinux compiles process.selinuxLabel.
func SELinux(in *step.Input, emit step.Emit) error {
	if in.Process != nil && in.Process.SelinuxLabel != "" {
		emit("/process/selinuxLabel", SetContext{in.Process.SelinuxLabel})
	}
	return nil
}

// Keys compiles process.selinuxLabel for the session keyring: without it the container
// may not look at its own.
func Keys(in *step.Input, emit step.Emit) error {
	if in.Process != nil && in.Process.SelinuxLabel != "" && !in.Options.NoNewKeyring {
		emit("/process/selinuxLabel", LabelKeys{in.Process.SelinuxLabel})
	}
	return nil
}

func (s SetContext) String() string { return "set SELinux label to " + s.Label }

func (s LabelKeys) String() string { return "set SELinux label of keys to " + s.Label }

// Lower writes the calls.
func (s SetContext) Lower(i *step.Init) error { return lowerContext(i, s.Label, "attr/exec") }

// Lower writes the calls.
func (s LabelKeys) Lower(i *step.Init) error { return lowerContext(i, s.Label, "attr/keycreate") }

// Reword says in other words what an errno of a call of Lower means, if there are better
// ones.
func (s SetContext) Reword(label string, errno unix.Errno) string {
	return rewordContext(s.Label, label, errno)
}

// Reword does the same.
func (s LabelKeys) Reword(label string, errno unix.Errno) string {
	return rewordContext(s.Label, label, errno)
}

func lowerContext(i *step.Init, label, path string) error {
	if !i.Input.Facts.SELinux {
		return errNoSELinux
	}
	back, err := canonical(selinuxfs, label)
	if err != nil {
		return err
	}
	attribute{path: path, value: label, back: back}.lower(i.Program)
	return nil
}

func rewordContext(context, label string, errno unix.Errno) string {
	if strings.HasPrefix(label, labelSet) && errno == unix.EINVAL {
		return fmt.Sprintf("cannot %s: invalid context %q", label, context)
	}
	return reword(label, errno)
}

const selinuxfs = "/sys/fs/selinux"

// canonical is a context as the policy writes it, with its categories in order: what the
// kernel says when it is asked for a label that was set (security_canonicalize_context(3)).
// It ends with a NUL byte, so that nothing can follow.
func canonical(dir, label string) (string, error) {
	f, err := os.OpenFile(dir+"/context", os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) {
		// Whoever may not ask gets the text compared as it is.
		return label + "\x00", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot ask SELinux: %w", err)
	}
	defer f.Close()
	if _, err := f.WriteString(label + "\x00"); err != nil {
		if errors.Is(err, unix.EINVAL) {
			return "", fmt.Errorf("invalid context %q: %w", label, unix.EINVAL)
		}
		return "", fmt.Errorf("cannot ask SELinux about %q: %w", label, err)
	}
	b := make([]byte, os.Getpagesize())
	n, err := f.ReadAt(b, 0)
	if n == 0 {
		return "", fmt.Errorf("cannot ask SELinux about %q: %w", label, err)
	}
	text, _, _ := bytes.Cut(b[:n], []byte{0})
	return string(text) + "\x00", nil
}
