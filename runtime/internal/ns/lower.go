package ns

import (
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
	Joined  []int // descriptors of the namespaces to join, in the order of Set.Join; -1: leave out
	Keep    int   // descriptors below this one stay open when the namespaces are entered

	// Before writes calls that must be made with the host's privileges.
	Before func(*entry.Program) error
	// Give writes the calls whose results the builder needs from a process in the
	// container's pid namespace, and returns their slots.
	Give func(*entry.Program) ([]entry.Slot, error)
	// Builder writes the calls that turn a process, which is in all namespaces but the
	// pid namespace, into the builder. Nil if a thread of ocirt builds.
	Builder func(*entry.Program)
	// BuilderFiles are descriptors that only the builder needs. Init closes them when they
	// have parted: the end of the builder must be the end of its conversation.
	BuilderFiles []int
}

// Points are the checkpoints of the calls that Lower writes: indices of calls, -1 for what
// does not happen. At Maps the peer writes the id maps and sends a byte. At Given and
// Entered descriptors may come along: those of Give. At Builder and Forked a pid does.
type Points struct {
	Maps    int // by the process that was started
	Builder int // by the same, which becomes the builder; value: the pid of the next
	Helper  int // value: the pid that goes on while this process makes what Give wants
	Given   int // with the descriptors of Give, if they do not come with Entered
	Entered int
	Forked  int // value: the pid of init, if a further fork is needed after the building

	Payload entry.Addr // what the builder found: step.HomeSize and step.ExecSize bytes
	Cwd     entry.Slot
	Console entry.Slot
}

// Lower writes init's calls from its birth to the end of the building.
//
// Order and reasons: not dumpable before anything is joined, so that no process inside can
// trace or read this one (CVE-2016-9962), and no crash writes a core; but after Before,
// because the files in /proc of a process that is not dumpable are root's. Cgroups first, while the host's rights are
// there, and before a cgroup namespace takes its root from them. With privileges the user
// namespace is joined last, because it takes away the right to join what the host owns;
// without, first, because it gives the rights. A pid namespace that exists is entered only
// when the root is the container's and nothing of the host's is open.
func (s *Set) Lower(e Enter) (Points, error) {
	p := e.Program
	at := Points{Maps: -1, Builder: -1, Helper: -1, Given: -1, Forked: -1}
	dumpable := 0
	if s.makes(unix.CLONE_NEWUSER) {
		dumpable = 1 // or an ordinary user may not write the maps
	}
	if err := e.Before(p); err != nil {
		return at, err
	}
	p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, dumpable).Label("become non-dumpable")
	zero := p.String("0")
	for _, fd := range e.Tasks {
		p.Call(unix.SYS_WRITE, fd, zero, 1).Label("join cgroup")
	}
	if e.Later > 0 {
		_, files := p.WaitFiles("wait for the cgroups", 1, e.Later)
		for _, f := range files {
			p.Call(unix.SYS_WRITE, f, zero, 1).Label("join cgroup")
			p.Call(unix.SYS_CLOSE, f).Label("close a tasks file")
		}
	}
	if e.Hold && e.Later == 0 {
		p.Wait("wait for the cgroups")
	}
	s.join(e)
	s.makeUser(e, &at)
	if flags := s.newFlags() &^ (unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWTIME) &^ int(s.CloneFlags()); flags != 0 {
		p.SetStep(e.First + len(s.Join))
		p.Call(unix.SYS_UNSHARE, flags).Label("create namespaces")
	}
	s.offset(e)
	if err := s.split(e, &at); err != nil {
		return at, err
	}
	s.receive(e, &at)
	return at, nil
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
			p.Call(unix.SYS_SETNS, e.Joined[i], j.Kind.Flag).Labelf("join %s namespace", j.Kind.Type)
			if user {
				s.becomeRoot(p)
			}
		}
	}
	enter(s.EUID != 0)
	enter(s.EUID == 0)
}

// becomeRoot takes the ids of the user namespace's root, whose files the builder makes, or
// the first ids there are if the maps leave root out.
func (s *Set) becomeRoot(p *entry.Program) {
	uid, gid := rootOf(s.UIDs), rootOf(s.GIDs)
	p.Call(unix.SYS_SETGROUPS, 0, 0).Label("drop groups").May(unix.EPERM)
	p.Call(unix.SYS_SETRESGID, gid, gid, gid).Labelf("become group %d of the user namespace", gid)
	p.Call(unix.SYS_SETRESUID, uid, uid, uid).Labelf("become user %d of the user namespace", uid)
	// Changed ids reset it to the sysctl fs.suid_dumpable, which need not be 0.
	p.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0).Label("become non-dumpable")
}

func (s *Set) makeUser(e Enter, at *Points) {
	if !s.makes(unix.CLONE_NEWUSER) {
		return
	}
	p := e.Program
	p.SetStep(e.First + len(s.Join))
	p.Call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER).Label("create user namespace")
	p.SetStep(e.First + len(s.Join) + 1)
	at.Maps = p.Tell("ask for id maps")
	p.Wait("wait for id maps")
	s.becomeRoot(p)
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
func (s *Set) split(e Enter, at *Points) error {
	p := e.Program
	// The clone is a fault of the pid namespace if it is a fault of a namespace.
	p.SetStep(e.First + len(s.Join))
	if e.Builder != nil {
		flags := unix.CLONE_PARENT | int(unix.SIGCHLD)
		if s.makes(unix.CLONE_NEWPID) {
			flags |= unix.CLONE_NEWPID
		}
		s.fork(p, flags, "part from the builder", &at.Builder, func(p *entry.Program) {
			if rootOf(s.UIDs) != 0 {
				keepCapabilities(p, s.LastCap)
			}
			e.Builder(p)
		})
		if s.pidNamespace(e) >= 0 { // else all are closed right below
			for _, fd := range e.BuilderFiles {
				p.Call(unix.SYS_CLOSE, fd).Label("close a descriptor of the builder")
			}
		}
	}
	if pid := s.pidNamespace(e); pid >= 0 {
		if err := s.giveFromPIDNamespace(e, at, pid); err != nil {
			return err
		}
		at.Entered = p.Tell("report that the namespaces are entered")
		return nil
	}
	p.Call(unix.SYS_CLOSE_RANGE, e.Keep, uint32(0xffffffff), 0).Label("close descriptors")
	slots, err := e.Give(p)
	if err != nil {
		return err
	}
	at.Entered = p.TellFiles("report that the namespaces are entered", len(slots), keepAll(p, slots))
	closeSlots(p, slots)
	return nil
}

// fork writes a clone whose parent tells the child's pid and then makes the calls that
// parent writes.
func (s *Set) fork(p *entry.Program, flags int, label string, point *int, parent func(*entry.Program)) {
	note := p.Note()
	p.Call(unix.SYS_CLONE, cloneArgs(flags|unix.CLONE_PARENT_SETTID, entry.Addr(note.Value))...).Label(label).Fork(func(p *entry.Program) {
		*point = p.TellNote("report the fork", note)
		parent(p)
	})
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

// giveFromPIDNamespace makes what Give wants in a pid namespace that exists and may be
// hostile: a short-lived process, whose root is an empty file system of its own and which
// holds no descriptor but the socket, enters it and sends what it made.
func (s *Set) giveFromPIDNamespace(e Enter, at *Points, pid int) error {
	p := e.Program
	p.SetStep(s.pidStep(e)) // what fails here is a fault of the namespace's
	defer p.SetStep(-1)
	var err error
	s.fork(p, unix.CLONE_PARENT|int(unix.SIGCHLD), "part from the helper", &at.Helper, func(p *entry.Program) {
		fs := p.Call(unix.SYS_FSOPEN, p.String("tmpfs"), unix.FSOPEN_CLOEXEC).Label("make an empty root").Keep()
		p.Call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_CMD_CREATE, 0, 0, 0).Label("make an empty root")
		root := p.Call(unix.SYS_FSMOUNT, fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY).Label("make an empty root").Keep()
		p.Call(unix.SYS_FCHDIR, root).Label("enter the empty root")
		p.Call(unix.SYS_CHROOT, p.String(".")).Label("enter the empty root")
		p.Call(unix.SYS_SETNS, pid, unix.CLONE_NEWPID).Label("join pid namespace")
		p.Call(unix.SYS_CLOSE_RANGE, e.Keep, uint32(0xffffffff), 0).Label("close descriptors")
		child := p.Slot(0)
		p.Call(unix.SYS_CLONE, cloneArgs(int(unix.SIGCHLD), 0)...).Label("fork into the pid namespace").KeepIn(child).Fork(func(p *entry.Program) {
			p.Call(unix.SYS_WAIT4, child, 0, 0, 0).Label("wait for the helper")
			p.Exit(0)
		})
		var slots []entry.Slot
		if slots, err = e.Give(p); err != nil {
			return
		}
		at.Given = p.TellFiles("hand over file systems", len(slots), keepAll(p, slots))
		p.Exit(0)
	})
	return err
}

// receive waits for the building to end, takes what it found, and, last of all, is born
// again in a pid namespace that exists.
func (s *Set) receive(e Enter, at *Points) {
	p := e.Program
	p.SetStep(-1)
	payload, files := p.WaitFiles("wait for the building", step.HomeSize+step.ExecSize, 2)
	at.Payload, at.Cwd, at.Console = payload, files[0], files[1]
	if pid := s.pidNamespace(e); pid >= 0 {
		p.SetStep(s.pidStep(e))
		p.Call(unix.SYS_SETNS, pid, unix.CLONE_NEWPID).Label("join pid namespace")
		for fd := e.Keep; fd < p.Base()+len(p.Files()); fd++ {
			if slices.Contains(e.BuilderFiles, fd) {
				continue // closed long ago, and perhaps taken by a file of the builder's finding
			}
			p.Call(unix.SYS_CLOSE, fd).May().Label("close a descriptor")
		}
		s.fork(p, unix.CLONE_PARENT|int(unix.SIGCHLD), "fork into the pid namespace", &at.Forked, func(p *entry.Program) { p.Exit(0) })
	}
	p.SetStep(-1)
	p.Call(unix.SYS_SETSID).Label("begin a session").May(unix.EPERM)
}
