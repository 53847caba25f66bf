package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func process() {
	title("process")
	row("pid", strconv.Itoa(os.Getpid()))
	row("program", strings.Join(os.Args, " "))
}

// neighbours lists the processes that /proc shows.
func neighbours() {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		row("sees", err.Error())
		return
	}
	var pids []string
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, e.Name())
		}
	}
	row("sees", strings.Join(pids, " "))
}

func names() {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		row("hostname", err.Error())
		return
	}
	row("hostname", unix.ByteSliceToString(u.Nodename[:]))
	row("domainname", unix.ByteSliceToString(u.Domainname[:]))
}

func user() {
	row("user", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))
}

func maps() {
	title("id maps (inside, outside, how many)")
	for _, kind := range []string{"uid", "gid"} {
		for _, l := range lines("/proc/self/" + kind + "_map") {
			row(kind, strings.Join(strings.Fields(l), " "))
		}
	}
}

func mounts() {
	title("mounts")
	for _, l := range lines("/proc/self/mountinfo") {
		left, right, _ := strings.Cut(l, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if len(f) > 5 && len(g) > 1 {
			fmt.Printf("  %-28s %-8s %s %s\n", f[4], g[0], f[5], strings.Join(f[6:], " "))
		}
	}
}

func interfaces() {
	title("interfaces")
	list, err := net.Interfaces()
	if err != nil {
		row("none", err.Error())
		return
	}
	for _, i := range list {
		addrs, _ := i.Addrs()
		var text []string
		for _, a := range addrs {
			text = append(text, a.String())
		}
		row(i.Name, fmt.Sprintf("%s  %s", i.Flags, strings.Join(text, " ")))
	}
}

// queues makes a message queue and lists all that there are.
func queues() {
	title("message queues")
	if _, _, errno := unix.Syscall(unix.SYS_MSGGET, 0x746f7572, unix.IPC_CREAT|0o600, 0); errno != 0 {
		row("none", errno.Error())
		return
	}
	all := lines("/proc/sysvipc/msg")
	for _, l := range all[min(1, len(all)):] {
		if f := strings.Fields(l); len(f) > 1 {
			row("key "+f[0], "id "+f[1])
		}
	}
}

func cgroups() {
	title("cgroups")
	for _, l := range lines("/proc/self/cgroup") {
		if f := strings.SplitN(l, ":", 3); len(f) == 3 {
			name := f[1]
			if name == "" {
				name = "unified"
			}
			row(name, f[2])
		}
	}
}

func clocks() {
	title("clocks")
	for _, l := range lines("/proc/self/timens_offsets") {
		if f := strings.Fields(l); len(f) == 3 {
			row(f[0], "shifted by "+f[1]+" s")
		}
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err == nil {
		row("since boot", strconv.FormatInt(ts.Nano()/1e9, 10)+" s")
	}
}

func capabilities() {
	title("capabilities")
	for _, l := range lines("/proc/self/status") {
		key, value, _ := strings.Cut(l, ":")
		switch key {
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
			row(key, capabilityNames(strings.TrimSpace(value)))
		case "NoNewPrivs":
			row(key, strings.TrimSpace(value))
		}
	}
}

func capabilityNames(mask string) string {
	v, err := strconv.ParseUint(mask, 16, 64)
	if err != nil {
		return mask
	}
	names := strings.Fields(capabilityList)
	var have []string
	for i, n := range names {
		if v&(1<<i) != 0 {
			have = append(have, n)
		}
	}
	switch {
	case len(have) == 0:
		return "none"
	case len(have) == len(names):
		return "all"
	case len(have) > len(names)/2:
		lacks := slices.DeleteFunc(names, func(n string) bool { return slices.Contains(have, n) })
		return "all but " + strings.Join(lacks, " ")
	}
	return strings.Join(have, " ")
}

// capabilityList is in the order of the kernel's numbers.
const capabilityList = `chown dac_override dac_read_search fowner fsetid kill setgid
setuid setpcap linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock
ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot
sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control
setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf
checkpoint_restore`
