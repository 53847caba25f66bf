package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// makeRootfs makes a root file system of the host's static busybox.
func makeRootfs(dir string) error {
	for _, d := range []string{"bin", "dev", "etc", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return fmt.Errorf("cannot make a root file system: %w", err)
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("cannot make a root file system: %w", err)
	}
	data, err := os.ReadFile(busybox)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "bin/busybox"), data, 0o755)
	}
	for _, applet := range []string{"sh", "true", "sleep"} {
		if err == nil {
			err = os.Symlink("busybox", filepath.Join(dir, "bin", applet))
		}
	}
	if err != nil {
		return fmt.Errorf("cannot make a root file system: %w", err)
	}
	return nil
}

// makeBundle writes a config.json of the kind that container engines write, with the
// seccomp profile that is given: it is a price of its own.
func makeBundle(parent, name, rootfs string, profile *specs.LinuxSeccomp, args ...string) (string, error) {
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("cannot make a bundle: %w", err)
	}
	c := config(rootfs, args)
	c.Linux.Seccomp = profile
	data, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("cannot write config.json: %w", err)
	}
	return dir, nil
}

func config(rootfs string, args []string) *specs.Spec {
	caps := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}
	return &specs.Spec{
		Version: "1.0.2", // old enough for every peer
		Process: &specs.Process{
			Args: args, Env: []string{"PATH=/bin"}, Cwd: "/", NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 1024, Soft: 1024}},
		},
		Root:     &specs.Root{Path: rootfs, Readonly: true},
		Hostname: "bench",
		Mounts:   mounts(),
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace},
				{Type: specs.NetworkNamespace},
				{Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace},
				{Type: specs.MountNamespace},
				{Type: specs.CgroupNamespace},
			},
			Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}},
			MaskedPaths: []string{
				"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
				"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

func mounts() []specs.Mount {
	m := func(dst, kind, source string, options ...string) specs.Mount {
		return specs.Mount{Destination: dst, Type: kind, Source: source, Options: options}
	}
	return []specs.Mount{
		m("/proc", "proc", "proc"),
		m("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
		m("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
		m("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
		m("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
		m("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
		m("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
	}
}
