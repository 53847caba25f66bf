// Package ns decides which namespaces a container's processes are in, and writes the calls
// with which init enters them: joining, unsharing, id maps, clock offsets, and the splits
// between the process that builds and the process that becomes the container's.
//
// What belongs here: namespaces as such. What does not: what is in them (mounts are
// package rootfs, network devices package netdev).
package ns

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// A Kind is one of the kernel's eight kinds of namespace (namespaces(7)).
type Kind struct {
	Type   specs.LinuxNamespaceType // as config.json calls it
	Flag   int                      // CLONE_NEW…
	Proc   string                   // its name under /proc/PID/ns
	Sysctl string                   // its limit: /proc/sys/user/max_…_namespaces
}

// kinds are in the order in which explain names them.
func kinds() []Kind {
	return []Kind{
		{specs.UserNamespace, unix.CLONE_NEWUSER, "user", "user"},
		{specs.MountNamespace, unix.CLONE_NEWNS, "mnt", "mnt"},
		{specs.PIDNamespace, unix.CLONE_NEWPID, "pid", "pid"},
		{specs.NetworkNamespace, unix.CLONE_NEWNET, "net", "net"},
		{specs.IPCNamespace, unix.CLONE_NEWIPC, "ipc", "ipc"},
		{specs.UTSNamespace, unix.CLONE_NEWUTS, "uts", "uts"},
		{specs.CgroupNamespace, unix.CLONE_NEWCGROUP, "cgroup", "cgroup"},
		{specs.TimeNamespace, unix.CLONE_NEWTIME, "time", "time"},
	}
}

// A Set is the namespaces of one container: what it makes, what it joins, how ids and
// clocks are mapped. It is a plain value.
type Set struct {
	New     []Kind
	Join    []Joined
	UIDs    []specs.LinuxIDMapping
	GIDs    []specs.LinuxIDMapping
	Offsets string // the text for /proc/PID/timens_offsets
	EUID    int
	EGID    int
	LastCap int // highest capability of the kernel
}

// Joined is a namespace that exists, named by a path on the host.
type Joined struct {
	Kind  Kind
	Path  string
	Index int // in linux.namespaces
}

// Compile reads linux.namespaces, the id mappings and the time offsets.
func Compile(in *step.Input) Set {
	s := Set{EUID: in.Facts.EUID, EGID: in.Facts.EGID, LastCap: in.Facts.LastCap}
	l := in.Bundle.Spec.Linux
	if l == nil {
		return s
	}
	for _, k := range kinds() {
		for i, n := range l.Namespaces {
			if n.Type != k.Type {
				continue
			}
			if n.Path == "" {
				s.New = append(s.New, k)
			} else {
				s.Join = append(s.Join, Joined{k, n.Path, i})
			}
		}
	}
	if s.makes(unix.CLONE_NEWUSER) {
		s.UIDs, s.GIDs = l.UIDMappings, l.GIDMappings
	}
	for _, clock := range []string{"monotonic", "boottime"} {
		if o, ok := l.TimeOffsets[clock]; ok {
			s.Offsets += fmt.Sprintf("%s %d %d\n", clock, o.Secs, o.Nanosecs)
		}
	}
	return s
}

func (s *Set) makes(flag int) bool {
	for _, k := range s.New {
		if k.Flag == flag {
			return true
		}
	}
	return false
}

func (s *Set) joins(flag int) bool {
	for _, j := range s.Join {
		if j.Kind.Flag == flag {
			return true
		}
	}
	return false
}

// newFlags are the CLONE_NEW… flags of the namespaces to make.
func (s *Set) newFlags() int {
	flags := 0
	for _, k := range s.New {
		flags |= k.Flag
	}
	return flags
}

// User reports whether the container's processes are in another user namespace.
func (s *Set) User() bool {
	return s.makes(unix.CLONE_NEWUSER) || s.joins(unix.CLONE_NEWUSER)
}

// JoinsUser reports whether the user namespace is one that exists, of which other processes
// may be hostile.
func (s *Set) JoinsUser() bool { return s.joins(unix.CLONE_NEWUSER) }

// Mount reports whether they are in a mount namespace of their own or a joined one.
func (s *Set) Mount() bool {
	return s.makes(unix.CLONE_NEWNS) || s.joins(unix.CLONE_NEWNS)
}

// Direct reports whether init can be born in its namespaces and be built for by a thread
// of ocirt. It cannot if a user namespace stands between them (a thread cannot enter one),
// if clocks have to be set before the first process, or if a namespace that is joined may
// hold hostile processes that see mounts or pids being made.
func (s *Set) Direct() bool {
	return !s.User() && !s.makes(unix.CLONE_NEWTIME) && !s.joins(unix.CLONE_NEWTIME) &&
		!s.joins(unix.CLONE_NEWNS) && !s.joins(unix.CLONE_NEWPID)
}

// BirthInto reports whether init can be born in a version 2 cgroup when it parts from a
// builder process. By then the user namespace has taken the capabilities away, so all groups
// have to be owned by the user; and a cgroup namespace that was joined hides the group.
func (s *Set) BirthInto(owned bool) bool {
	return !s.joins(unix.CLONE_NEWCGROUP) && (owned || !s.User())
}

// CloneFlags are the namespaces that are made for init's birth if it is Direct. The cgroup namespace
// is not among them: its root is the group that a process is in when it makes one, so init
// joins its group first.
func (s *Set) CloneFlags() uintptr {
	if !s.Direct() {
		return 0
	}
	return uintptr(s.newFlags() &^ unix.CLONE_NEWCGROUP)
}

// ThreadFlags are those of CloneFlags that a thread makes for itself, for init to be born of
// it: all but the pid namespace, which the thread itself cannot enter.
func (s *Set) ThreadFlags() uintptr { return s.CloneFlags() &^ unix.CLONE_NEWPID }

// BuilderFlags are the namespaces that this thread, which builds, joins through init's pidfd.
func (s *Set) BuilderFlags() int {
	flags := s.newFlags()
	for _, j := range s.Join {
		flags |= j.Kind.Flag
	}
	return flags & (unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP) &^ int(s.ThreadFlags())
}

// Steps are the sentences of the Enter section.
func (s *Set) Steps(emit step.Emit) {
	for _, j := range s.Join {
		emit(fmt.Sprintf("/linux/namespaces/%d", j.Index), JoinNamespace{string(j.Kind.Type), j.Path})
	}
	if len(s.New) > 0 {
		names := make([]string, 0, len(s.New))
		for _, k := range s.New {
			names = append(names, string(k.Type))
		}
		emit("/linux/namespaces", MakeNamespaces{strings.Join(names, " ")})
	}
	if len(s.UIDs) > 0 {
		emit("/linux/uidMappings", MapIDs{"users", mapText(s.UIDs)})
	}
	if len(s.GIDs) > 0 {
		emit("/linux/gidMappings", MapIDs{"groups", mapText(s.GIDs)})
	}
	if s.Offsets != "" {
		emit("/linux/timeOffsets", OffsetClocks{s.Offsets})
	}
}

// The steps of the Enter section. They are lowered together, by Lower, because their order
// depends on each other: a user namespace is joined first or last as privileges require.
type (
	// JoinNamespace enters a namespace that exists.
	JoinNamespace struct{ Kind, Path string }
	// MakeNamespaces makes new ones.
	MakeNamespaces struct{ Kinds string }
	// MapIDs gives a new user namespace its users or groups.
	MapIDs struct{ What, Map string }
	// OffsetClocks shifts the clocks of a new time namespace.
	OffsetClocks struct{ Offsets string }
)

func (s JoinNamespace) String() string {
	return fmt.Sprintf("join %s namespace at %q", s.Kind, s.Path)
}

func (s MakeNamespaces) String() string {
	names := strings.Fields(s.Kinds)
	if len(names) == 1 {
		return "create " + names[0] + " namespace"
	}
	last := len(names) - 1
	return "create " + strings.Join(names[:last], ", ") + " and " + names[last] + " namespaces"
}

func (s MapIDs) String() string { return "map " + s.What + " " + s.Map }

func (s OffsetClocks) String() string {
	return "offset clocks: " + strings.Join(strings.Split(strings.TrimSpace(s.Offsets), "\n"), ", ")
}

func mapText(maps []specs.LinuxIDMapping) string {
	var b strings.Builder
	for i, m := range maps {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d+%d to %d", m.ContainerID, m.Size, m.HostID)
	}
	return b.String()
}
