package runtime

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/ocirt/ocirt/runtime/internal/process"
	"github.com/ocirt/ocirt/runtime/internal/rootfs"
	"github.com/ocirt/ocirt/runtime/internal/seccomp"
	"github.com/ocirt/ocirt/spec"
)

// Features is what this runtime can do, as `ocirt features` prints it (runtime-spec,
// features.md): what was built, not what this host's kernel offers, but for the seccomp
// flags that it supports. The caller may add annotations.
func Features() *features.Features {
	yes := new(true)
	return &features.Features{
		OCIVersionMin: "1.0.0",
		OCIVersionMax: specs.Version,
		Hooks:         []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions:  rootfs.OptionWords(),
		Linux: &features.Linux{
			Namespaces:      []string{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"},
			Capabilities:    spec.CapabilityNames(),
			Cgroup:          &features.Cgroup{V1: yes, V2: yes, Systemd: yes, SystemdUser: yes, Rdma: yes},
			Seccomp:         seccompFeatures(),
			Apparmor:        &features.Apparmor{Enabled: yes},
			Selinux:         &features.Selinux{Enabled: yes},
			IntelRdt:        &features.IntelRdt{Enabled: yes, Schemata: yes, Monitoring: yes},
			MemoryPolicy:    &features.MemoryPolicy{Modes: process.MemoryModes(), Flags: process.MemoryFlags()},
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: yes}},
			NetDevices:      &features.NetDevices{Enabled: yes},
		},
		Annotations:                        map[string]string{"org.opencontainers.runc.checkpoint.enabled": "true"},
		PotentiallyUnsafeConfigAnnotations: unsafeAnnotations(),
	}
}

// unsafeAnnotations are those by which whoever may set annotations alone, as users of some
// engines may, gets what they could not ask for otherwise. See docs/annotations.md.
func unsafeAnnotations() []string {
	return []string{
		"bundle", // labels of other runtimes' containers: engines should not let it through
		"org.criu.config",
		"org.systemd.property.",
		"run.oci.keep_original_groups",
		"run.oci.mount_context_type",
		"run.oci.pidfd_receiver",
	}
}

// seccompFeatures asks the compiler of filters what it takes.
func seccompFeatures() *features.Seccomp {
	f := &features.Seccomp{Enabled: new(true)}
	takes := func(p specs.LinuxSeccomp) bool {
		_, err := seccomp.Compile(&p, specs.ArchX86_64)
		return err == nil
	}
	for _, a := range []specs.LinuxSeccompAction{
		specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActLog,
		specs.ActNotify, specs.ActTrace, specs.ActTrap,
	} {
		if takes(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: a}}}) {
			f.Actions = append(f.Actions, string(a))
		}
	}
	for _, o := range []specs.LinuxSeccompOperator{
		specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpLessEqual, specs.OpLessThan,
		specs.OpMaskedEqual, specs.OpNotEqual,
	} {
		args := []specs.LinuxSeccompArg{{Op: o}}
		if takes(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActErrno, Args: args}}}) {
			f.Operators = append(f.Operators, string(o))
		}
	}
	for _, a := range seccomp.Arches() {
		f.Archs = append(f.Archs, string(a))
	}
	slices.Sort(f.Archs)
	f.KnownFlags = []string{"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}
	for _, flag := range f.KnownFlags {
		if seccomp.Supported(specs.LinuxSeccompFlag(flag)) {
			f.SupportedFlags = append(f.SupportedFlags, flag)
		}
	}
	return f
}
