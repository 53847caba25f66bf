package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// AllCapabilities are the names of all capabilities, in the order of their numbers.
func AllCapabilities() []string {
	names := strings.Fields(`chown dac_override dac_read_search fowner fsetid kill setgid
setuid setpcap linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock
ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice
sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap
mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore`)
	for i, n := range names {
		names[i] = "CAP_" + strings.ToUpper(n)
	}
	return names
}

// SubordinateIDs gives a user this many ids from 700000 for the time of the test: by files
// that are mounted over those of the host in the tests' own mount namespace.
func SubordinateIDs(t testing.TB, uid, count int) {
	t.Helper()
	need.Root(t)
	need.Tool(t, "newuidmap")
	need.Tool(t, "newgidmap")
	for _, name := range []string{"/etc/subuid", "/etc/subgid", "/etc/passwd"} {
		was, err := os.ReadFile(name)
		need.Feature(t, name, err == nil, fmt.Sprint(err))
		line := fmt.Sprintf("%d:700000:%d\n", uid, count)
		if name == "/etc/passwd" { // newuidmap wants to know its caller by name
			line = fmt.Sprintf("lab:x:%d:%d::/:/bin/sh\n", uid, uid)
		}
		file := filepath.Join(Dir(t), "file")
		must(t, os.WriteFile(file, append(was, line...), 0o644))
		must(t, unix.Mount(file, name, "", unix.MS_BIND, ""))
		t.Cleanup(func() { _ = unix.Unmount(name, unix.MNT_DETACH) })
	}
}
