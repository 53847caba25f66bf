// Package step defines what a plan is made of: the kinds of step, what compiling may look
// at, and what a step is given when it is done. It knows no feature and touches no kernel.
//
// Eight rules keep a plan readable.
//
//  1. A step is a sentence. String begins with a verb. What cannot be named is two steps.
//  2. A step is a value: no pointers to live things, no descriptors. Two compilations of
//     the same input give equal steps.
//  3. Coarse. Steps match properties, not system calls.
//  4. The compiler looks at properties, the step looks at the world. A choice that depends
//     on another property is made by compiling; one that depends on the kernel or the file
//     system is made by the step. A plan never holds a resolved path.
//  5. No step mentions another step. No variables, no jumps, no conditions in the list.
//  6. Closed set. Nothing is registered, there are no third-party steps.
//  7. Deterministic. Maps are walked in sorted order.
//  8. Reversible decision. Each Do is a plain function of its values.
package step

import (
	"context"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/spec"
)

// A Step is one thing done on a container's way to execve. String says what, as a
// sentence that starts with a verb. Every step is exactly one of the kinds below.
type Step interface{ fmt.Stringer }

// A HostStep is done by ocirt in its own namespaces: before there is a process if it
// stands in the Host section, or with the builder waiting if it stands in Sandbox (runtime
// hooks, moving a network device). Host.Pid is 0 in the first case.
type HostStep interface {
	Step
	Do(*Host) error
	// Undo is for delete, and for a create that failed; it must accept that Do never ran,
	// or ran twice.
	Undo(*Host) error
}

// A SandboxStep makes the container a place. It is done by the builder, in the container's
// namespaces, before anything of the container runs.
type SandboxStep interface {
	Step
	Do(*Sandbox) error
}

// An EarlyStep is a SandboxStep that can be one that needs nothing of init but what it gives, and
// neither its cgroups nor its cgroup namespace. If the first ones of the section are early, they
// are done while init is on its way into its cgroups. An Opener is not early.
type EarlyStep interface {
	SandboxStep
	Early() bool
}

// An Opener is a SandboxStep that needs something only the host can give: the source of a
// bind mount, an id-mapped tree. Open runs in ocirt's own namespaces before the builder
// begins; Do finds the files in Sandbox.Files.
type Opener interface {
	SandboxStep
	Open(*Host) ([]*os.File, error)
}

// A Giver is a SandboxStep that needs something only init can make: a procfs belongs to
// the pid namespace of the process that makes it. Give writes the calls of init, made
// after it has entered its namespaces, and returns the slots of the descriptors; Do finds
// the files in Sandbox.Files. A step is an Opener or a Giver, not both.
type Giver interface {
	SandboxStep
	Give(*entry.Program) ([]entry.Slot, error)
}

// A ProcGiver is a Giver of a procfs. Init need not be in the pid namespace that it shows:
// open writes the calls that open it, with words at the beginning of their labels.
type ProcGiver interface {
	Giver
	GiveProc(p *entry.Program, open func(words string) entry.Slot) ([]entry.Slot, error)
}

// A ProcessStep is done by the process that becomes the container's, on itself. It is
// lowered to system calls, because that process has no Go.
type ProcessStep interface {
	Step
	Lower(*Init) error
}

// An Entry is a step and the property that asked for it.
type Entry struct {
	From string // JSON pointer into config.json, or "ocirt" for our own housekeeping
	Step Step
}

// Emit adds a step to the plan, with the property that asked for it.
type Emit func(from string, s Step)

// Input is everything compiling may look at. It is data; looking is free of side effects
// and gives the same answer on every machine.
type Input struct {
	ID      string
	Bundle  *spec.Bundle
	Process *specs.Process // the container's, or the one given to exec; nil if config.json has none
	Options Options        // what was asked for on the command line
	Facts   Facts          // what was probed about this host
	Cgroups []Cgroup       // where the container's cgroups will be
	Unit    Unit           // what systemd makes them as; zero if it does not
	Join    *Join          // nil for create; the running container for exec
}

// Options are the caller's choices that are not in config.json. They travel to a builder
// in another process as JSON.
type Options struct {
	NoPivot      bool   `json:"noPivot,omitempty"`
	NoNewKeyring bool   `json:"noNewKeyring,omitempty"`
	PreserveFDs  int    `json:"preserveFDs,omitempty"` // passed on after descriptor 2
	ListenFDs    int    `json:"listenFDs,omitempty"`   // socket activation: before PreserveFDs
	ListenNames  string `json:"listenNames,omitempty"` // LISTEN_FDNAMES: names of the ListenFDs, separated by colons
	NotifyDir    string `json:"notifyDir,omitempty"`   // on the host, of the socket for sd_notify; empty: none
	Rootless     bool   `json:"rootless,omitempty"`
	NoCgroups    bool   `json:"noCgroups,omitempty"` // the container stays in its caller's cgroups
}

// Where a container finds the socket for sd_notify.
const (
	NotifyPlace = "run/notify"  // from its root: Options.NotifyDir is attached here
	NotifyName  = "notify.sock" // in it
)

// Facts is what this host can do, as data.
type Facts struct {
	EUID     int    `json:"euid"`
	EGID     int    `json:"egid"`
	InUserNS bool   `json:"inUserNS,omitempty"` // ocirt itself runs in a user namespace that is not the initial one
	Cgroup   string `json:"cgroup"`             // "v1", "hybrid", "v2" or "none"
	LastCap  int    `json:"lastCap"`            // highest capability the kernel knows
	Caps     uint64 `json:"caps,omitempty"`     // capabilities that ocirt itself holds (bounding set); 0 if not probed
	Kernel   [2]int `json:"kernel"`             // version and patch level
	AppArmor bool   `json:"appArmor,omitempty"`
	SELinux  bool   `json:"seLinux,omitempty"`
}

// AtLeast reports whether the kernel is of this version or later.
func (f *Facts) AtLeast(version, patch int) bool {
	return f.Kernel[0] > version || f.Kernel[0] == version && f.Kernel[1] >= patch
}

// A Cgroup is the container's group in one hierarchy.
type Cgroup struct {
	Name  string `json:"name"`  // "memory", "cpu,cpuacct", "name=systemd"; "" for version 2
	Mount string `json:"mount"` // where the hierarchy is mounted on the host
	Path  string `json:"path"`  // the container's group as an absolute path on the host
}

// A Unit is the systemd unit that a container's cgroups are.
type Unit struct {
	Name  string `json:"name,omitempty"`  // "ocirt-demo.scope"
	Slice string `json:"slice,omitempty"` // in which it lies: "system.slice"
}

// Join is the running container that an exec enters.
type Join struct {
	Pid int // of init in ocirt's pid namespace

	// UIDs and GIDs are the maps of init's user namespace to ocirt's, as the kernel has
	// them; empty where it is ocirt's own.
	UIDs, GIDs []specs.LinuxIDMapping
}

// HostID is what an id of a container is outside of it, and false if it is nothing there.
func HostID(maps []specs.LinuxIDMapping, id uint32) (int, bool) {
	for _, m := range maps {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return int(m.HostID + (id - m.ContainerID)), true
		}
	}
	return 0, false
}

// Host is what a step is given that is done in ocirt's own namespaces.
type Host struct {
	Input *Input
	Pid   int // of init in ocirt's pid namespace; 0 before there is one

	// Context is that of the call: steps that may take long give up with it. Nil is one
	// that is never done.
	Context context.Context

	// Tasks are cgroup v1 `tasks` files, open for writing: init moves itself by writing
	// "0" to each. CgroupFD is the version 2 group that init is born in. Both are set by
	// the step that makes the groups, and closed by the launcher.
	Made     []string // directories, outermost first
	Tasks    []*os.File
	CgroupFD *os.File

	// Systemd is the connection to systemd; nil if it does not make the cgroups.
	Systemd Systemd

	ResctrlMade []string // directories of resource groups, outermost first

	// Loans are what steps of the sandbox section took from the host for the container.
	Loans []Loan

	Warn func(format string, args ...any)
}

// Systemd is a connection to systemd, which only the steps of package cgroup know how to
// use.
type Systemd interface{ Close() }

// A Loan is something of the host's that would be lost with a container whose create
// failed: it is returned while the container still exists. If create succeeds it is kept.
type Loan interface {
	Return() error
	Keep() // lets go of what Return would need
}

// Sandbox is what a step is given that is done in the container's namespaces.
type Sandbox struct {
	Input *Input
	Pid   int        // of init in the pid namespace of the builder; 0 if it is not born yet
	Root  *os.File   // O_PATH handle of the container's root; a step that places a mount on the root replaces it
	Files []*os.File // what Open or Give of this step brought; Do owns and closes them

	// Proc is a procfs of ours, detached, complete, that no container mount can cover:
	// for sysctls. The pid namespace it shows is ocirt's. Nil until asked for: use
	// safepath's function.
	Proc *os.File

	// What the builder finds for the process steps.
	Cwd     *os.File // the working directory, O_PATH
	Exec    string   // path to execute, at most 4095 bytes
	Home    string   // "HOME=…" if the environment lacks it, at most 1023 bytes
	Console *os.File // the peer of the terminal, which becomes descriptors 0 to 2
	Master  *os.File // its master, for the console socket or the foreground

	Context context.Context // as Host.Context

	Warn func(format string, args ...any)
}

// Sizes of the places in which init receives the builder's findings.
const (
	HomeSize = 1024
	ExecSize = 4096
)

// Init is what a ProcessStep writes to: init's program, and the places where the builder's
// findings will be when it runs.
type Init struct {
	*entry.Program
	Input    *Input
	Cwd      entry.Slot // Sandbox.Cwd
	Console  entry.Slot // Sandbox.Console; -1 without a terminal
	Exec     entry.Addr // Sandbox.Exec, NUL-terminated
	Home     entry.Addr // Sandbox.Home, NUL-terminated
	Listener int        // descriptor of the listening start socket; -1 if there is none
	Ready    entry.Note // what init says when it is ready
}

// KeepFDs is the number of descriptors, from 0, that the container's process gets.
func (in *Input) KeepFDs() int { return 3 + in.Options.ListenFDs + in.Options.PreserveFDs }

// Namespace returns the container's entry for a kind of namespace, or nil if it shares the
// caller's.
func (in *Input) Namespace(kind specs.LinuxNamespaceType) *specs.LinuxNamespace {
	l := in.Bundle.Spec.Linux
	if l == nil {
		return nil
	}
	for i := range l.Namespaces {
		if l.Namespaces[i].Type == kind {
			return &l.Namespaces[i]
		}
	}
	return nil
}

// NewNamespace reports whether the container gets a new namespace of this kind.
func (in *Input) NewNamespace(kind specs.LinuxNamespaceType) bool {
	n := in.Namespace(kind)
	return n != nil && n.Path == ""
}

// UserNS reports whether the container's processes are in another user namespace than
// ocirt.
func (in *Input) UserNS() bool { return in.Namespace(specs.UserNamespace) != nil }
