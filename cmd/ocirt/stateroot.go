package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// initUserNS is the inode of the initial user namespace (include/linux/proc_ns.h).
const initUserNS = 0xEFFFFFFD

// defaultRoot is where containers are kept if nobody says where: /run/NAME, or
// $XDG_RUNTIME_DIR/NAME for those who may not write there. The second gets the sticky bit,
// which keeps it from being cleaned away.
func (a *app) defaultRoot() (path string, sticky bool, err error) {
	if !unprivileged() {
		return "/run/" + a.name, false, nil
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return "", false, advised{errors.New("XDG_RUNTIME_DIR is not set, so there is no place for the state of an ordinary user's containers"), errNoRoot}
	}
	if !filepath.IsAbs(dir) {
		return "", false, fmt.Errorf("XDG_RUNTIME_DIR: %q is not absolute", dir)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", false, fmt.Errorf("XDG_RUNTIME_DIR: cannot use %q: %w", dir, err)
	}
	if uid := os.Geteuid(); int(st.Uid) != uid {
		return "", false, fmt.Errorf("XDG_RUNTIME_DIR: %q belongs to user %d, not to user %d", dir, st.Uid, uid)
	}
	return filepath.Join(dir, a.name), true, nil
}

// unprivileged reports whether the caller is not root, or is root only in a user namespace
// that was made for an ordinary user: there $USER is still that user's name.
func unprivileged() bool {
	if os.Geteuid() != 0 {
		return true
	}
	if os.Getenv("USER") == "root" {
		return false
	}
	var st unix.Stat_t
	return unix.Stat("/proc/self/ns/user", &st) == nil && st.Ino != initUserNS
}
