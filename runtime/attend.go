package runtime

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/attend"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/store"
	"github.com/ocirt/ocirt/spec"
)

// AttendOptions ask that Start, of a container that was created with Hold, does not return:
// this process becomes one of 24 KiB that passes on the signals that come, all but SIGCHLD,
// SIGURG and SIGPIPE, waits for the container's end, deletes it, and ends with its exit
// status.
//
// If there turns out to be more to do, this program is executed again, with the arguments and
// the environment that it has now: then Attended is true, and TakeOver returns the container,
// for the rest to be done by Wait or WaitReaping and Delete. Start does return if the
// container needs its caller from the beginning, or anything fails.
type AttendOptions struct {
	Keep bool // do not delete the container
	Reap bool // take the statuses of all children, as WaitReaping does

	// Caught is a descriptor of a pipe with the signals that this process has caught to pass
	// them on, as native 32-bit numbers. Nobody else may have the end for writing.
	Caught int
}

// An attendant is what this process can become.
type attendant struct {
	attendance // but for what is late

	text  *attend.Text
	start bool  // it begins while init starts
	made  []int // descriptors that are this program's to close
	kept  []int // descriptors that it has

	all   unix.CPUSet // processors that this process may run on
	aside unix.CPUSet // those that it should while init starts
}

// An attending is what an attendant is made of.
type attending struct {
	options *AttendOptions
	rec     *store.Record
	bundle  *spec.Bundle
	root    *store.Root
	dir     *store.Dir
}

// attendant prepares what there is to prepare for AttendOptions, while there is time; nil if
// the container needs more than that.
func (a attending) attendant() *attendant {
	if a.options == nil || !a.simple() {
		return nil
	}
	t := &attendant{
		attendance: attendance{
			pid: a.rec.Pid, root: a.root.FD(), dir: a.dir.FD(), lock: a.dir.LockFD(), pipe: a.options.Caught, conn: -1, initRoot: -1, id: a.rec.ID,
		},
		start: a.startsAlone(),
	}
	d := &attend.Duty{Name: linux.ThreadName(), Lock: t.lock, Start: t.start, Caught: t.pipe, Orphans: -1}
	if !a.options.Keep {
		groups, ok := loadGroup(&a.rec.Cgroup, a.rec.Cgroup.Paths).Plainly()
		if !ok {
			return nil
		}
		d.Removal = &attend.Removal{
			Groups: groups, Root: t.root, ID: t.id, Dir: t.dir,
			Files: append([]string{startSocket}, store.RecordFiles()...), Record: store.RecordFiles()[0],
		}
	}
	var h handover
	d.Init = h.made(unix.PidfdOpen(t.pid, 0))
	d.Signals = h.made(linux.Signalfd(^uint64(0) &^ linux.SignalSet(unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE)))
	if a.options.Reap {
		d.Orphans = h.made(linux.Signalfd(linux.SignalSet(unix.SIGCHLD)))
	}
	if set, err := linux.Processors(); err == nil && t.start {
		t.all, d.Processors = set, linux.ProcessorBytes(&set)
	}
	d.Again = attend.Again{
		Program: h.made(unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)),
		Argv:    os.Args, Env: withoutAttendance(os.Environ()), Room: len(t.String()) + markRoom,
	}
	d.Again.Drop = h.fds
	t.made, t.kept = h.fds, append([]int{t.lock, t.root, t.dir, t.pipe}, h.fds...)
	if h.failed {
		t.close()
		return nil
	}
	t.text = attend.Write(d)
	t.text.SetFallbackDir(a.dir.Path())
	return t
}

// markRoom is for two numbers that are known late.
const markRoom = 32

// simple reports whether nothing has to be done for the container that only this program can
// do.
func (a attending) simple() bool {
	h, p := a.bundle.Spec.Hooks, a.bundle.Spec.Process
	return a.rec.PidNamespace && (p == nil || !p.Terminal) && a.rec.Cgroup.Unit == "" && len(a.rec.Resctrl) == 0 && (h == nil || len(h.Poststop) == 0)
}

// startsAlone reports whether nothing has to be done while init becomes the container's
// program, if that succeeds.
func (a attending) startsAlone() bool {
	s := a.bundle.Spec
	in := &step.Input{ID: a.rec.ID, Bundle: a.bundle, Process: s.Process}
	return !smallMemoryOf(a.bundle) && !plan.Kills(in) && listenerOf(a.bundle) == nil && (s.Hooks == nil || len(s.Hooks.Poststart) == 0)
}

// A handover has descriptors that were just made.
type handover struct {
	fds    []int
	failed bool
}

func (h *handover) made(fd int, err error) int {
	if err != nil {
		h.failed = true
		return -1
	}
	h.fds = append(h.fds, fd)
	return fd
}

func (t *attendant) close() {
	if t == nil {
		return
	}
	for _, fd := range t.made {
		unix.Close(fd)
	}
	t.made = nil
}

// become makes this process the attendant. It returns if that cannot be; then all is as it
// was. While init starts, conn is the connection to it, and root its root; otherwise -1 and
// nil.
func (t *attendant) become(dir *store.Dir, conn int, root *os.File) error {
	stamp, err := dir.Stamp()
	if err != nil {
		return err
	}
	starting, kept := t.attendance, t.kept
	if conn >= 0 {
		starting.conn, kept = conn, append(kept, conn)
	}
	if root != nil {
		starting.initRoot = int(root.Fd())
		kept = append(kept, starting.initRoot)
	}
	t.text.Complete(attend.Late{
		Record: attend.Stamp(stamp), Conn: starting.conn, Root: starting.initRoot,
		Starting: starting.String(), Running: t.String(),
	})
	image, err := t.text.Image()
	if err != nil {
		return err
	}
	defer image.Close()
	closeOnExec(kept, 0)
	defer closeOnExec(kept, unix.FD_CLOEXEC)
	return execute(image)
}

func closeOnExec(fds []int, flag int) {
	for _, fd := range fds {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag)
	}
}

// execute makes this process that of an image.
func execute(image *os.File) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The signal for the parent's end belongs to a thread, not to the process: without this
	// only the first thread would get it, which does not survive execve.
	if err := linux.SetParentSignal(parentSignal); err != nil {
		return err
	}
	old, err := linux.BlockSignals()
	if err != nil {
		return err
	}
	err = entry.Become(image, os.Args)
	return errors.Join(err, linux.SetSignalMask(old))
}

// parentSignal is what this process was told to get when its parent ends. Only its first
// thread knows, which is the one that initializes packages.
var parentSignal = linux.ParentSignal()

// attend is where Start stops if it can, when init has become the container's program.
func (c *Container) attend(o StartOptions) {
	if t := c.mayAttend(o, false); t != nil {
		_ = t.become(c.dir, -1, nil) // it is as well to wait here
	}
}

// attendStart prepares for becoming the attendant while init starts. Goes is called with
// whether init has been told to, and returns if it has not, or that cannot be.
//
// To become the attendant takes about as long as a short program runs, most of it the end of
// this process's threads and memory, and is to be over before that has ended. So it keeps off
// the processor that init goes on on.
func (c *Container) attendStart(o StartOptions, conn int, root *os.File) (goes func(told bool)) {
	t := c.mayAttend(o, true)
	if t == nil {
		return func(bool) {}
	}
	runtime.LockOSThread() // what follows is about this thread
	aside := t.stepAside(c.self.init.Processor)
	return func(told bool) {
		defer runtime.UnlockOSThread()
		if told && aside {
			_ = linux.SetProcessorsOfAll(&t.aside) // they have to wake up to end
		}
		if told {
			_ = t.become(c.dir, conn, root) // it is as well to go on here
		}
		if aside {
			_ = linux.SetProcessorsOfAll(&t.all)
		}
	}
}

// stepAside moves this thread away from a processor, if there is another one, and reports
// whether it has.
func (t *attendant) stepAside(processor int) (ok bool) {
	t.aside, ok = linux.Without(t.all, processor)
	return ok && linux.SetProcessors(&t.aside) == nil
}

// mayAttend returns the attendant, if this is the time for it.
func (c *Container) mayAttend(o StartOptions, start bool) *attendant {
	if c.self == nil || c.self.attendant == nil {
		return nil
	}
	t := c.self.attendant
	if t.start != start || c.dir.LockFD() != t.lock || o.MayAttend == nil || !o.MayAttend() {
		return nil
	}
	return t
}
