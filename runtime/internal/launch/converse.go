package launch

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// errGone is the end of the conversation before init was ready.
var errGone = errors.New("init ended before it was ready")

// maxFiles is how many descriptors fit into one message (SCM_MAX_FD).
const maxFiles = 253

// A heard is what has been heard of init and its helpers. Where several processes speak,
// their records come in any order.
type heard struct {
	parted  bool // the builder has told init's pid
	given   bool // init has handed over what the builder needs of it
	entered bool
	built   bool // the building is done
	ready   bool
	forked  bool // init's last fork has been told of
}

// converse serves init until it is ready: ocirt's side of the conversation whose other
// side is written by ns.Lower and plan.WaitForGo.
func (l *Launch) converse() error {
	// While the kernel makes init's namespaces, the host's part can be done.
	if err := l.open(); err != nil {
		return err
	}
	if l.Thread != nil {
		l.site.heard.Wait()
	}
	h := heard{parted: l.points.Builder < 0, forked: l.points.Forked < 0}
	for !h.ready || !h.forked {
		// These have the socket in common with init, so that their end is not the end of
		// the conversation.
		var err error
		switch {
		case !h.parted:
			err = l.watch(l.pids[0])
		case h.ready:
			err = l.watch(l.init())
		}
		if err != nil {
			return err
		}
		r, files, err := l.hear()
		if err != nil {
			return err
		}
		if r.Errno != 0 {
			closeFiles(files)
			return l.fault(r)
		}
		if took, err := l.handOver.takes(r, files); err != nil {
			return err
		} else if took {
			if err := l.giveListener(h.forked); err != nil {
				return err
			}
			continue
		}
		if err := l.handle(r, files, &h); err != nil {
			return err
		}
		if err := l.giveListener(h.forked); err != nil {
			return err
		}
		if h.parted && h.entered && !h.built {
			h.built = true
			if err := l.build(); err != nil {
				return err
			}
			if l.Built != nil && h.forked {
				l.Built(l.init())
			}
		}
	}
	return nil
}

// giveListener gives the agent the listener that has come, once init's pid is known.
func (l *Launch) giveListener(known bool) error {
	if !known {
		return nil
	}
	return l.handOver.give(l.sock, l.init())
}

// tellsPid reports whether a record tells the pid of a new process.
func (l *Launch) tellsPid(r entry.Record) bool {
	return r.Errno == 0 && (r.Call == l.points.Builder || r.Call == l.points.Forked)
}

// isNew reports whether a pid is that of a child not known yet. A process of a namespace
// that is joined may be able to speak in the name of one that has just arrived there. It
// must not make us act on a process that is not our child, or on all there are.
func (l *Launch) isNew(pid int) bool { return isChild(pid) && !slices.Contains(l.pids, pid) }

// handle acts on a record that is not a failure.
func (l *Launch) handle(r entry.Record, files []*os.File, h *heard) error {
	if l.tellsPid(r) && !l.isNew(int(r.Value)) {
		closeFiles(files)
		return fmt.Errorf("bug in ocirt: process %d is no new child", r.Value)
	}
	switch early := !h.built; {
	case r.Call == l.points.Maps && early:
		return l.writeMaps()
	case r.Call == l.points.Builder && early:
		// A helper may have told of init already, which must stay the last.
		h.parted, l.pids = true, slices.Insert(l.pids, 1, int(r.Value))
		if l.held() {
			return l.doHeld()
		}
	case r.Call == l.points.Forked:
		h.forked, l.pids = true, append(l.pids, int(r.Value))
	case slices.Contains(l.points.Opened, r.Call) && early && len(files) == 0:
	case r.Call == l.points.Given && early && !h.given:
		h.given = true
		return l.take(files)
	case r.Call == l.points.Entered && early:
		h.entered = true
		if n := len(files) - 1; n >= 0 && l.Plan.Namespaces.GivesCgroupNS() {
			l.cgroups, files = files[n], files[:n]
		}
		if len(files) > 0 {
			return l.take(files)
		}
	case r.Call == l.ready:
		h.ready, l.processor = true, int(r.Value)
	default: // also what was in its place before the building, and not after it
		closeFiles(files)
		return fmt.Errorf("bug in ocirt: init sent %+v", r)
	}
	return nil
}

// errHelper is the end of a process that had something to tell yet.
var errHelper = errors.New("a helper of init ended before it was done")

// watch waits for the next record, or for the end of a child of ours without one.
func (l *Launch) watch(pid int) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("cannot watch a helper of init: %w", err)
	}
	defer unix.Close(pidfd)
	for {
		fds := []unix.PollFd{{Fd: int32(l.sock), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
		switch _, err := unix.Poll(fds, -1); {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("cannot wait for a helper of init: %w", err)
		case fds[0].Revents != 0:
			return nil
		}
		// What it said last was said before it ended.
		if n, err := unix.Poll(fds[:1], 0); err == nil && n == 0 {
			return errHelper
		}
	}
}

// receive reads one record. The end of the file means that init has gone.
func (l *Launch) receive() (entry.Record, []*os.File, error) {
	b, files, err := linux.Receive(l.sock, entry.RecordSize, maxFiles)
	if err != nil {
		return entry.Record{}, nil, fmt.Errorf("cannot hear init: %w", err)
	}
	if len(b) == 0 {
		return entry.Record{}, nil, errGone
	}
	r, ok := entry.ParseRecord(b)
	if !ok {
		closeFiles(files)
		return r, nil, fmt.Errorf("bug in ocirt: init sent %d bytes", len(b))
	}
	return r, files, nil
}

// fault makes an error of a call that failed in init.
func (l *Launch) fault(r entry.Record) error { return Fault(l.Input, l.program, l.Plan, r) }

// Fault makes an error of a failure that a process reported, with the step it belongs to.
func Fault(in *step.Input, p *entry.Program, pl *plan.Plan, r entry.Record) error {
	label, n := p.Describe(r.Call)
	if joins := joinsPID(pl); label == plan.ForkLabel && joins >= 0 {
		n = joins // the fork is the namespace's fault, if it is anybody's
	}
	fault := &step.Fault{Op: label, Errno: r.Errno}
	var err error = fault
	if hint := pl.Namespaces.Explain(r.Errno); hint != "" && isEnter(pl, n) {
		err = fmt.Errorf("%w: %s", fault, hint)
	}
	out := &step.Error{Where: "init", Err: err}
	if e, ok := pl.Step(n); ok {
		if j, is := e.Step.(ns.JoinNamespace); is && j.Kind == "pid" && r.Errno == unix.ENOMEM {
			fault.Errno = unix.ESRCH // clone(2) has no other word for a dead namespace
			err = fmt.Errorf("%w: the namespace has ended with its first process", fault)
		}
		out.Step, out.From, out.Err = e.Step.String(), e.From, explained(e.Step, r.Errno, err)
		// A step may know better words than the errno's, which callers could take for
		// something else.
		if x, ok := e.Step.(interface {
			Reword(string, unix.Errno) string
		}); ok {
			fault.Text = x.Reword(label, r.Errno)
		}
	}
	if why := plan.Denied(in, p.Calls(), r.Call, r.Errno); why != "" {
		out.Err = fmt.Errorf("%w: %s", fault, why)
	}
	return out
}

// joinsPID is the number of the step that joins a pid namespace, or -1.
func joinsPID(pl *plan.Plan) int {
	for i, e := range pl.Enter {
		if j, ok := e.Step.(ns.JoinNamespace); ok && j.Kind == "pid" {
			return pl.Number("enter") + len(pl.Before) + i
		}
	}
	return -1
}

// explained adds what a step knows about an errno of its calls.
func explained(s step.Step, errno unix.Errno, err error) error {
	if x, ok := s.(interface{ Explain(unix.Errno) string }); ok {
		if why := x.Explain(errno); why != "" {
			return fmt.Errorf("%w: %s", err, why)
		}
	}
	return err
}

func isEnter(pl *plan.Plan, n int) bool {
	return n >= pl.Number("enter") && n < pl.Number("sandbox")
}

// explain adds what is known about a failure to make namespaces.
func (l *Launch) explain(sentence string, err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		if hint := l.Plan.Namespaces.Explain(errno); hint != "" {
			err = fmt.Errorf("%w: %s", err, hint)
		}
	}
	return &step.Error{Step: sentence, From: "/linux/namespaces", Where: "host", Err: err}
}

func (l *Launch) writeMaps() error {
	if err := l.Plan.Namespaces.WriteMaps(l.init()); err != nil {
		n := l.Plan.Number("enter") + len(l.Plan.Before) + len(l.Plan.Namespaces.Join) + 1
		e, _ := l.Plan.Step(n)
		return &step.Error{Step: e.Step.String(), From: e.From, Where: "host", Err: err}
	}
	return l.goOn()
}

// goOn sends init the byte it waits for.
func (l *Launch) goOn() error {
	if err := unix.Send(l.sock, []byte{1}, unix.MSG_NOSIGNAL); err != nil && err != unix.EPIPE {
		return fmt.Errorf("cannot speak to init: %w", err)
	}
	return nil // a peer that has gone is noticed by the next receive
}

// open lets the steps of the sandbox section open what only the host can give.
func (l *Launch) open() error {
	for i, e := range l.Plan.Sandbox {
		o, ok := e.Step.(step.Opener)
		if !ok {
			continue
		}
		files, err := o.Open(l.Host)
		if err != nil {
			return &step.Error{Step: e.Step.String(), From: e.From, Where: "host", Err: err}
		}
		l.opened.put(i, files)
	}
	return nil
}

// take gives the descriptors that init made to the steps that asked for them. A Giver gets
// as many as it returned slots, which is always one so far.
func (l *Launch) take(files []*os.File) error {
	for i, e := range l.Plan.Sandbox {
		if _, ok := e.Step.(step.Giver); !ok {
			continue
		}
		if len(files) == 0 {
			return errors.New("bug in ocirt: init gave too few descriptors")
		}
		l.opened.put(i, files[:1:1])
		files = files[1:]
	}
	closeFiles(files)
	return nil
}

// send tells init what the builder found.
func (l *Launch) send(b *step.Sandbox) error {
	payload := make([]byte, step.HomeSize, step.HomeSize+len(b.Exec)+1)
	if len(b.Home) >= step.HomeSize || len(b.Exec) >= step.ExecSize {
		return fmt.Errorf("bug in ocirt: %d bytes of HOME, %d of the path to execute", len(b.Home), len(b.Exec))
	}
	copy(payload, b.Home)
	payload = append(append(payload, b.Exec...), 0)
	cwd := b.Cwd
	if cwd == nil {
		cwd = b.Root // there is no process to enter it, and a slot to fill
	}
	fds := []int{int(cwd.Fd())}
	if b.Console != nil {
		fds = append(fds, int(b.Console.Fd()))
	}
	err := linux.Send(l.sock, payload, fds)
	if err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("cannot speak to init: %w", err)
	}
	return nil
}
