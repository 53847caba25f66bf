package ns

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Explain says what stands behind an error of making namespaces, as far as it can be seen
// from here: an exhausted limit, or a switch that forbids unprivileged user namespaces. It
// returns "" if nothing is known.
func (s *Set) Explain(errno error) string {
	switch {
	case errors.Is(errno, unix.ENOSPC), errors.Is(errno, unix.EUSERS):
		return s.explainLimit()
	case errors.Is(errno, unix.EPERM), errors.Is(errno, unix.EACCES):
		return s.explainForbidden()
	}
	return ""
}

// explainLimit names the limits of the kinds that were asked for, smallest first seen: the
// kernel does not say which one was reached.
func (s *Set) explainLimit() string {
	var zero, all []string
	for _, k := range s.New {
		path := "/proc/sys/user/max_" + k.Sysctl + "_namespaces"
		v, ok := sysctl(path)
		if !ok {
			continue
		}
		text := fmt.Sprintf("%s is %s", path, v)
		all = append(all, text)
		if v == "0" {
			zero = append(zero, text)
		}
	}
	if len(zero) > 0 {
		return strings.Join(zero, ", ")
	}
	return "a limit is exhausted: " + strings.Join(all, ", ")
}

func (s *Set) explainForbidden() string {
	if !s.makes(unix.CLONE_NEWUSER) {
		if s.EUID != 0 {
			return "an ordinary user needs a user namespace: add one to linux.namespaces (ocirt spec --rootless shows how)"
		}
		return ""
	}
	for _, f := range []struct{ path, forbids string }{
		{"/proc/sys/kernel/unprivileged_userns_clone", "0"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"},
		{"/proc/sys/user/max_user_namespaces", "0"},
	} {
		if v, ok := sysctl(f.path); ok && v == f.forbids {
			return fmt.Sprintf("unprivileged user namespaces are forbidden: %s is %s", f.path, v)
		}
	}
	return ""
}

func sysctl(path string) (string, bool) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err == nil
}
