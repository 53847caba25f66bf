package ns

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// Enter is what Lower needs to know beside the Set.
type Enter struct {
	Program *entry.Program
	First   int   // number in the plan of the first step of Steps
	Tasks   []int // descriptors of cgroup v1 tasks files
	Later   int   // so many tasks files come by message instead: the groups are being made
	Hold    bool  // wait until the cgroups are made even if no tasks files come
	Group   int   // descriptor of the cgroup v2 group that init is born in when it parts from the builder; 0: none
	Joined  []int // descriptors of the namespaces to join, in the order of Set.Join; -1: leave out
	Keep    int   // descriptors below this one stay open when the namespaces are entered
	Proc    int   // descriptor of the host's /proc, where a builder needs init's cgroup namespace

	// Before writes calls that must be made with the host's privileges.
	Before func(*entry.Program) error
	// Give writes the calls whose results the builder needs from a process in the
	// container's pid namespace, and returns their slots. What opens a procfs of the
	// namespace is nil for such a process.
	Give func(*entry.Program, OpenProc) ([]entry.Slot, error)
	// Builder writes the calls that turn a process, which is in all namespaces but the
	// pid namespace, into the builder. Nil if a thread of ocirt builds.
	Builder func(*entry.Program)
	// BuilderFiles are descriptors that only the builder needs. Init closes them when they
	// have parted: the end of the builder must be the end of its conversation.
	BuilderFiles []int
}

// Points are the checkpoints of the calls that Lower writes: indices of calls, -1 for what
// does not happen. At Maps the peer writes the id maps and sends a byte. At Entered
// descriptors may come along: those of Give. At Builder and Forked a pid does.
type Points struct {
	Maps    int   // by the process that was started
	Builder int   // by the same, which becomes the builder; value: the pid of the next
	Opened  []int // by init, for a helper of its own: a procfs has been opened
	Given   int   // with the descriptors of Give, if those come before Entered
	Entered int   // with the cgroup namespace as the last descriptor, if GivesCgroupNS
	Forked  int   // value: the pid of init, if a further fork is needed after the building; Lower does not write it

	Payload entry.Addr // what the builder found: step.HomeSize and step.ExecSize bytes
	Cwd     entry.Slot
	Console entry.Slot

	Processor entry.Note // on which init goes on after the building; -1 if it cannot be told
}

// GivesCgroupNS reports whether a builder process gets the cgroup namespace from init: its
// root is the group that its maker is in, and the builder is in no group of the container's.
func (s *Set) GivesCgroupNS() bool { return !s.Direct() && s.makes(unix.CLONE_NEWCGROUP) }

// Lower writes init's calls from its birth to the end of the building.
//
// Order and reasons: not dumpable before anything is joined, so that no process inside can
// trace or read this one (CVE-2016-9962), and no crash writes a core; but after Before,
// because the files in /proc of a process that is not dumpable are root's. With privileges
// the user namespace is joined last, because it takes away the right to join what the host
// owns; without, first, because it gives the rights. Cgroups are joined before a cgroup
// namespace takes its root from them, but by init alone: what the kernel makes of
// namespaces, and the builder with its pages, are no load of the container's. A pid
// namespace that exists is entered only when the root is the container's and nothing of the
// host's is open.
func (s *Set) Lower(e Enter) (Points, error) {
	p := e.Program
	at := Points{Maps: -1, Builder: -1, Given: -1, Forked: -1}
	dumpable := 0
	if s.makes(unix.CLONE_NEWUSER) {
		dumpable = 1 // or an ordinary user may not write the maps
	}
	if err := e.Before(p); err != nil {
		return at, err
	}
	p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, dumpable).Label("become non-dumpable")
	var tasks []entry.Slot
	if e.Later > 0 && !e.Hold {
		if s.givesFirst(e) {
			if err := giveFirst(e, &at); err != nil {
				return at, err
			}
		}
		tasks = waitForGroups(e) // the first message, so the first to be read
	}
	if e.Builder == nil {
		joinGroups(e, tasks)
	}
	s.join(e)
	s.makeUser(e, &at)
	s.unshare(e)
	s.offset(e)
	if err := s.split(e, &at, tasks); err != nil {
		return at, err
	}
	s.receive(e, &at)
	return at, nil
}

// givesFirst reports whether init can make what Give wants of it while its cgroups are being
// made: if it is born into all its other namespaces.
func (s *Set) givesFirst(e Enter) bool { return e.Builder == nil && len(s.Join) == 0 }

// giveFirst makes what the builder needs and hands it over.
func giveFirst(e Enter, at *Points) error {
	p := e.Program
	slots, err := e.Give(p, nil)
	if err != nil {
		return err
	}
	at.Given = p.TellFiles("hand over what the builder needs", len(slots), keepAll(p, slots))
	closeSlots(p, slots)
	return nil
}

// waitForGroups waits for the tasks files of groups that are being made.
func waitForGroups(e Enter) []entry.Slot {
	_, files := e.Program.WaitFiles("wait for the cgroups", 1, e.Later)
	return files
}

// joinGroups joins the cgroups: those whose tasks files were inherited, and those whose
// files have come, or are waited for.
func joinGroups(e Enter, came []entry.Slot) {
	p := e.Program
	p.SetStep(-1)
	switch {
	case e.Hold && e.Later > 0:
		came = waitForGroups(e)
	case e.Hold:
		p.Wait("wait for the cgroups")
	}
	zero := p.String("0")
	for _, fd := range e.Tasks {
		p.Call(unix.SYS_WRITE, fd, zero, 1).Label("join cgroup")
	}
	for _, f := range came {
		p.Call(unix.SYS_WRITE, f, zero, 1).Label("join cgroup")
		p.Call(unix.SYS_CLOSE, f).Label("close a tasks file")
	}
}

// join enters the namespaces that exist, except a pid namespace.
func (s *Set) join(e Enter) {
	p := e.Program
	enter := func(user bool) {
		for i, j := range s.Join {
			if (j.Kind.Flag == unix.CLONE_NEWUSER) != user || j.Kind.Flag == unix.CLONE_NEWPID || e.Joined[i] < 0 {
				continue
			}
			p.SetStep(e.First + i)
			if user {
				dropGroups(p)
			}
			p.Call(unix.SYS_SETNS, e.Joined[i], j.Kind.Flag).Labelf("join %s namespace", j.Kind.Type)
			if user {
				s.becomeGroup(p)
			}
		}
	}
	enter(s.EUID != 0)
	enter(s.EUID == 0)
}

// offset makes the time namespace. Its clocks can be set only before the first process is
// in it, and the file can be opened only by a dumpable process if its owner is an ordinary
// user. This process itself stays outside: only its children are born inside.
func (s *Set) offset(e Enter) {
	if !s.makes(unix.CLONE_NEWTIME) {
		return
	}
	p := e.Program
	p.SetStep(e.First + len(s.Join))
	p.Call(unix.SYS_UNSHARE, unix.CLONE_NEWTIME).Label("create time namespace")
	if s.Offsets == "" {
		return
	}
	p.SetStep(e.First + len(s.Join) + 1 + min(1, len(s.UIDs)) + min(1, len(s.GIDs)))
	p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1).Label("become dumpable")
	fd := p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String("/proc/self/timens_offsets"), unix.O_WRONLY|unix.O_CLOEXEC, 0).Label("open /proc/self/timens_offsets").Keep()
	p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0).Label("become non-dumpable")
	p.Call(unix.SYS_WRITE, fd, p.String(s.Offsets), len(s.Offsets)).Label("write /proc/self/timens_offsets")
	p.Call(unix.SYS_CLOSE, fd).Label("close /proc/self/timens_offsets")
}

// split parts builder and init, and reports that init is in its namespaces.
func (s *Set) split(e Enter, at *Points, tasks []entry.Slot) error {
	p := e.Program
	if e.Builder != nil {
		s.part(e, at)
		joinGroups(e, tasks)
		s.becomeUser(p)
		if s.pidNamespace(e) >= 0 { // else all are closed right below
			for _, fd := range e.BuilderFiles {
				p.Call(unix.SYS_CLOSE, fd).Label("close a descriptor of the builder")
			}
		}
	}
	if pid := s.pidNamespace(e); pid >= 0 {
		given := s.makeCgroup(e)
		slots, err := e.Give(p, s.procOf(e, at, pid))
		if err != nil {
			return err
		}
		slots = append(slots, given...)
		at.Entered = p.TellFiles("report that the namespaces are entered", len(slots), keepAll(p, slots))
		closeSlots(p, slots)
		return nil
	}
	p.SetStep(-1)
	from := e.Keep
	if e.Proc > 0 {
		if e.Proc > from {
			p.Call(unix.SYS_CLOSE_RANGE, from, e.Proc-1, 0).Label("close descriptors")
		}
		from = e.Proc + 1
	}
	p.Call(unix.SYS_CLOSE_RANGE, from, uint32(0xffffffff), 0).Label("close descriptors")
	given := s.makeCgroup(e)
	if e.Proc > 0 {
		p.Call(unix.SYS_CLOSE, e.Proc).Label("close a descriptor")
	}
	var slots []entry.Slot
	if at.Given < 0 {
		var err error
		if slots, err = e.Give(p, nil); err != nil {
			return err
		}
	}
	slots = append(slots, given...)
	at.Entered = p.TellFiles("report that the namespaces are entered", len(slots), keepAll(p, slots))
	closeSlots(p, slots)
	return nil
}

// part makes this process the builder, and goes on as init.
func (s *Set) part(e Enter, at *Points) {
	p := e.Program
	// The clone is a fault of the pid namespace if it is a fault of a namespace.
	p.SetStep(e.First + len(s.Join))
	flags := unix.CLONE_PARENT
	if s.makes(unix.CLONE_NEWPID) {
		flags |= unix.CLONE_NEWPID
	}
	builder := func(p *entry.Program) {
		s.becomeUser(p)
		if rootOf(s.UIDs) != 0 {
			keepCapabilities(p, s.LastCap)
		}
		e.Builder(p)
	}
	if e.Group > 0 {
		s.forkInto(p, flags, e.Group, "part from the builder", &at.Builder, builder)
	} else {
		s.fork(p, flags|int(unix.SIGCHLD), "part from the builder", &at.Builder, builder)
	}
}

// makeCgroup makes the cgroup namespace, if that was left to init, and opens it for the
// builder. The list has one descriptor, or none.
func (s *Set) makeCgroup(e Enter) []entry.Slot {
	if !s.GivesCgroupNS() {
		return nil
	}
	p := e.Program
	p.SetStep(e.First + len(s.Join))
	p.Call(unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP).Label("create cgroup namespace")
	fd := p.Call(unix.SYS_OPENAT, e.Proc, p.String("self/ns/cgroup"), unix.O_RDONLY|unix.O_CLOEXEC, 0).Label("open the cgroup namespace").Keep()
	p.SetStep(-1)
	return []entry.Slot{fd}
}

// keepAll copies descriptors into the places of a message. A descriptor is copied by
// duplicating it, as a program can only keep results.
func keepAll(p *entry.Program, slots []entry.Slot) func([]entry.Slot) {
	return func(files []entry.Slot) {
		for i, s := range slots {
			p.Call(unix.SYS_FCNTL, s, unix.F_DUPFD_CLOEXEC, 0).Label("duplicate a descriptor").KeepIn(files[i])
		}
	}
}

func closeSlots(p *entry.Program, slots []entry.Slot) {
	for _, s := range slots {
		p.Call(unix.SYS_CLOSE, s).Label("close a descriptor")
	}
}

// pidNamespace is the descriptor of the pid namespace to join, or -1.
func (s *Set) pidNamespace(e Enter) int {
	for i, j := range s.Join {
		if j.Kind.Flag == unix.CLONE_NEWPID {
			return e.Joined[i]
		}
	}
	return -1
}

// pidStep is the number of the step that joins a pid namespace.
func (s *Set) pidStep(e Enter) int {
	for i, j := range s.Join {
		if j.Kind.Flag == unix.CLONE_NEWPID {
			return e.First + i
		}
	}
	return -1
}

// receive waits for the building to end and takes what it found. A pid namespace that
// exists is joined here, and entered by a later fork: see plan.EnterPIDNamespace.
func (s *Set) receive(e Enter, at *Points) {
	p := e.Program
	p.SetStep(-1)
	payload, files := p.WaitFiles("wait for the building", step.HomeSize+step.ExecSize, 2)
	at.Payload, at.Cwd, at.Console = payload, files[0], files[1]
	// Here, because a seccomp filter may forbid it, or make a fuss about it, later.
	at.Processor = p.Note()
	p.Put(entry.Addr(at.Processor.Value), binary.NativeEndian.AppendUint32(nil, ^uint32(0)))
	p.Call(unix.SYS_GETCPU, entry.Addr(at.Processor.Value), 0, 0).May().Label("look on which processor this is")
	if pid := s.pidNamespace(e); pid >= 0 {
		p.SetStep(s.pidStep(e))
		p.Call(unix.SYS_SETNS, pid, unix.CLONE_NEWPID).Label("join pid namespace")
		for fd := e.Keep; fd < p.Base()+len(p.Files()); fd++ {
			if slices.Contains(e.BuilderFiles, fd) {
				continue // closed long ago, and perhaps taken by a file of the builder's finding
			}
			p.Call(unix.SYS_CLOSE, fd).May().Label("close a descriptor")
		}
	}
	p.SetStep(-1)
	p.Call(unix.SYS_SETSID).Label("begin a session").May(unix.EPERM)
}
