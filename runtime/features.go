package runtime

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// Features is what this runtime can do, as `ocirt features` prints it (runtime-spec,
// features.md): what was built, not what this host's kernel offers. The caller may add
// annotations.
func Features() *features.Features {
	yes, no := new(true), new(false)
	return &features.Features{
		OCIVersionMin: "1.0.0",
		OCIVersionMax: specs.Version,
		Hooks:         []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions:  mountOptions(),
		Linux: &features.Linux{
			Namespaces:      []string{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"},
			Capabilities:    capabilities(),
			Cgroup:          &features.Cgroup{V1: yes, V2: yes, Systemd: no, SystemdUser: no, Rdma: no},
			Seccomp:         &features.Seccomp{Enabled: no},
			Apparmor:        &features.Apparmor{Enabled: no},
			Selinux:         &features.Selinux{Enabled: no},
			IntelRdt:        &features.IntelRdt{Enabled: no},
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: yes}},
			NetDevices:      &features.NetDevices{Enabled: no},
		},
		Annotations:                        map[string]string{"org.opencontainers.runc.checkpoint.enabled": "false"},
		PotentiallyUnsafeConfigAnnotations: []string{},
	}
}

// mountOptions are the words that the runtime itself understands. Not among them, as
// engines expect, are those of id-mapped mounts, which have a place of their own.
func mountOptions() []string {
	attributes := []string{
		"atime", "dev", "diratime", "exec", "noatime", "nodev", "nodiratime", "noexec", "norelatime", "nostrictatime",
		"nosuid", "nosymfollow", "relatime", "ro", "rw", "strictatime", "suid", "symfollow",
	}
	words := []string{
		"async", "bind", "copy-symlink", "defaults", "dest-nofollow", "dirsync", "iversion", "lazytime", "loud", "mand",
		"noiversion", "nolazytime", "nomand", "private", "rasync", "rbind", "rdirsync", "remount", "rmand", "rnomand",
		"rprivate", "rshared", "rslave", "rsync", "runbindable", "shared", "silent", "slave", "src-nofollow", "sync",
		"tmpcopyup", "unbindable",
	}
	for _, w := range attributes {
		words = append(words, w, "r"+w)
	}
	slices.Sort(words)
	return words
}

// capabilities are in the order of their numbers (include/uapi/linux/capability.h).
func capabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
		"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
		"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
		"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
		"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
		"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
	}
}
