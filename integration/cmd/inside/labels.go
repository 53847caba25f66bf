package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readLabels are what security modules say of this process, of two of its file systems and
// of its keyring; what no module answers for is left out.
func readLabels() (map[string]string, error) {
	m := map[string]string{}
	for _, name := range []string{"apparmor/current", "apparmor/exec", "current", "exec", "keycreate"} {
		data, err := os.ReadFile("/proc/thread-self/attr/" + name)
		switch {
		case err == nil:
			m[name] = strings.TrimRight(string(data), "\n\x00")
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL):
			return nil, err
		}
	}
	b := make([]byte, 256)
	for _, path := range []string{"/dev", "/dev/mqueue"} {
		if n, err := unix.Lgetxattr(path, "security.selinux", b); err == nil && n > 0 {
			m[path] = strings.TrimRight(string(b[:n]), "\x00")
		}
	}
	if label, err := unix.KeyctlString(unix.KEYCTL_GET_SECURITY, unix.KEY_SPEC_SESSION_KEYRING); err == nil && label != "" {
		m["keyring"] = label
	}
	return m, nil
}

// memoryPolicy is mode, flags and nodes as get_mempolicy(2) tells them: "2 0x8000 [0]".
func memoryPolicy() (string, error) {
	var mode int32
	nodes := make([]byte, 1024)
	_, _, errno := unix.Syscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&mode)), uintptr(unsafe.Pointer(&nodes[0])), uintptr(8*len(nodes)), 0, 0, 0)
	if errno != 0 {
		return "", errno
	}
	var list []int
	for i := 0; i < len(nodes); i += 8 {
		word := binary.NativeEndian.Uint64(nodes[i:])
		for bit := range 64 {
			if word>>bit&1 != 0 {
				list = append(list, 8*i+bit)
			}
		}
	}
	slices.Sort(list)
	return fmt.Sprintf("%d %#x %v", mode&0xfff, mode&^0xfff, list), nil
}
