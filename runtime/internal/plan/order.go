package plan

import (
	"slices"

	"github.com/ocirt/ocirt/runtime/internal/cgroup"
	"github.com/ocirt/ocirt/runtime/internal/lsm"
	"github.com/ocirt/ocirt/runtime/internal/netdev"
	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/process"
	"github.com/ocirt/ocirt/runtime/internal/rdt"
	"github.com/ocirt/ocirt/runtime/internal/rootfs"
	"github.com/ocirt/ocirt/runtime/internal/seccomp"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/tty"
)

// The order in which a container is built.
//
// To add a property: write its step in a feature package, put one line here, and add a
// golden case under testdata. The position is the interesting part: say in a comment why
// it is where it is, unless the section already says so.

// A Part is one line of the order: a function that compiles some properties of config.json
// into steps.
type Part func(*step.Input, step.Emit) error

// host is done before the container has a process; delete undoes it in reverse.
func host() []Part {
	return []Part{
		cgroup.Compile,
		rdt.Groups,
	}
}

// enter is done by the process that becomes init, before and while it enters its
// namespaces, with the host's privileges.
func enter() []Part {
	return []Part{
		process.OOMScore,   // lowering needs the host's CAP_SYS_RESOURCE
		process.LimitsRoom, // raising a hard limit does, too
	}
}

// sandbox is what makes the container a place. Only create does it.
func sandbox() []Part {
	return []Part{
		rdt.Assign,     // host; as soon as there is a process
		netdev.Devices, // host; before anything in the container can look for them
		netdev.Loopback,
		rootfs.Prepare,      // propagation first, or mounts leak to the host
		rootfs.Mounts,       // in the order of config.json
		rootfs.NotifySocket, // over whatever they put there
		rootfs.Devices,
		RunHooksPrestart,        // host: hooks may expect the mounts, and the old root
		RunHooksCreateRuntime,   // host
		RunHooksCreateContainer, // the only ones of the three that run inside
		rootfs.Pivot,
		process.EarlyDirectory,   // while the root can still be written to
		tty.Console,              // the device node must be in the new root, and before the masks (CVE-2025-52565)
		rootfs.ReadOnly,          // after the console, which writes to /dev
		ns.Hostname,              // after the hooks: a host's hook may look at it unset
		ns.Domainname,            //
		process.Sysctls,          // by a procfs of our own, so masks do not matter
		rootfs.MaskedPaths,       //
		rootfs.ReadonlyPaths,     // after the masks, as a read-only parent may hold a masked path
		process.WorkingDirectory, // made here if missing; entered by handle below
		process.Home,
		process.FindExecutable, // a good error at create; explained on failure
		cgroup.Limits,          // host; last, or a small limit starves the building
	}
}

// settings is what makes a process the container's process. create and exec share it, so
// they cannot drift apart.
func settings() []Part {
	return []Part{
		process.Signals,          // ignored and blocked ones back to default
		created(lsm.Keys),        // the keyring is the first key
		process.SessionKeyring,   // before the ids change: the keyring belongs to the caller's quota
		process.Affinity,         // after the cgroup, whose cpuset limits it
		enterAt(beforeScheduler), // what a fork would undo
		process.Scheduler,        // needs CAP_SYS_NICE
		process.IOPriority,       // the same
		process.MemoryPolicy,
		process.Personality,
		rootfs.Enter,           // only where the builder's change of root does not move init
		process.EnterDirectory, // by a handle, while still root: the user may lack the right to search
		created(lsm.AppArmor),  // while init may still mount a procfs to do it safely
		created(lsm.SELinux),   // the same; both take effect at execve
		process.Capabilities,   // the bounding set needs CAP_SETPCAP, which goes with the ids
		enterAt(beforeFilter),  // the filter may forbid to fork
		seccomp.WithPrivilege,  // loading needs CAP_SYS_ADMIN, which goes with the ids; what follows must be allowed by the profile
		process.User,
		process.NoNewPrivileges,
		process.Umask,
		enterAt(atLast), // a pid namespace that exists: those in it see the process from here on
	}
}

// pause is the border between create and start.
func pause() []Part {
	return []Part{
		tty.Attach, // create has handed the terminal over, or failed
		WaitForStart,
	}
}

// final is the same for every process of every container.
func final() []Part {
	return []Part{
		process.Rlimits,      // late: RLIMIT_AS must not starve our own calls
		process.CloseFiles,   // all of ours are closed by execve itself, so that its success shows
		seccomp.Unprivileged, // last: only execve comes after, so the profile need allow nothing else of ours
		process.Execute,
	}
}

// hookFinal is final for a startContainer hook: a program of the image, which must not be
// less confined than the container. What it executes is not the container's program.
func hookFinal() []Part {
	return []Part{
		process.CloseFiles,
		seccomp.Unprivileged,
	}
}

// createOrder is the process section of create.
func createOrder() []Part { return slices.Concat(settings(), pause(), final()) }

// execEnter is done by a further process before it joins the container: by its own /proc,
// and with the host's privileges.
func execEnter() []Part {
	return []Part{
		process.OOMScore,
		process.LimitsRoom,
		lsm.Keys,
		lsm.AppArmor,            // takes effect at execve, and outlives the forks until then
		lsm.SELinux,             // the same
		process.InitialAffinity, // before the cgroup is joined
		rdt.Join,                // by the host's file system
	}
}

// execLook is found out on the host, in the container's root, before there is a process.
func execLook() []Part {
	return []Part{
		tty.Console,
		process.Home,
		process.FindExecutable,
	}
}

// execOrder is that of a further process in a container.
func execOrder() []Part {
	return slices.Concat([]Part{tty.Own}, settings(), []Part{tty.Attach, Await}, final())
}
