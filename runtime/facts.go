package runtime

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/cgroup"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// initUserNS is the inode of the initial user namespace (include/linux/proc_ns.h,
// PROC_USER_INIT_INO): its maps can be imitated, its inode cannot.
const initUserNS = 0xEFFFFFFD

// probe finds out what this host can do: a few system calls, no files but where there is
// no call.
func probe() step.Facts {
	f := step.Facts{EUID: os.Geteuid(), EGID: os.Getegid(), Cgroup: "none"}
	if mode, err := cgroup.Detect(); err == nil {
		f.Cgroup = map[cgroup.Mode]string{cgroup.V1: "v1", cgroup.Hybrid: "hybrid", cgroup.V2: "v2", cgroup.None: "none"}[mode]
	}
	for c := 0; ; c++ {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil {
			break
		}
		f.LastCap = c
		f.Caps |= uint64(held) << c
	}
	var st unix.Stat_t
	f.InUserNS = unix.Stat("/proc/self/ns/user", &st) == nil && st.Ino != initUserNS
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		f.Kernel = kernelVersion(unix.ByteSliceToString(uts.Release[:]))
	}
	f.AppArmor = unix.Access("/sys/kernel/security/apparmor", unix.F_OK) == nil
	f.SELinux = unix.Access("/sys/fs/selinux/enforce", unix.F_OK) == nil
	return f
}

// kernelVersion reads "6.18.44-something".
func kernelVersion(release string) (v [2]int) {
	for i, part := range strings.SplitN(release, ".", 3) {
		if i > 1 {
			break
		}
		for _, c := range part {
			if c < '0' || c > '9' {
				break
			}
			v[i] = v[i]*10 + int(c-'0')
		}
	}
	return v
}
