package tour

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/integration/internal/need"
)

// allCapabilities are those of the running kernel.
func allCapabilities() []string {
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

// subordinateIDs gives a user this many ids from 700000 for the time of the test: by files
// that are mounted over those of the host in the tests' own mount namespace.
func subordinateIDs(t *testing.T, uid, count int) {
	t.Helper()
	need.Root(t)
	need.Tool(t, "newuidmap")
	need.Tool(t, "newgidmap")
	for _, name := range []string{"/etc/subuid", "/etc/subgid", "/etc/passwd"} {
		was, err := os.ReadFile(name)
		need.Feature(t, name, err == nil, fmt.Sprint(err))
		file := lab.Dir(t) + "/file"
		line := fmt.Sprintf("%d:700000:%d\n", uid, count)
		if name == "/etc/passwd" {
			// newuidmap wants to know its caller by name.
			line = fmt.Sprintf("lab:x:%d:%d::/:/bin/sh\n", uid, uid)
		}
		write(t, file, string(was)+line)
		if err := unix.Mount(file, name, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(name, unix.MNT_DETACH) })
	}
}

// killLingering ends the children that hooks left behind on purpose: they have become ours.
func killLingering(t *testing.T) {
	t.Helper()
	for _, pid := range lab.Children() {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(cmdline), "child\x00sleep\x0010") {
			_ = unix.Kill(pid, unix.SIGKILL)
			_, _ = unix.Wait4(pid, nil, 0, nil)
		}
	}
}
