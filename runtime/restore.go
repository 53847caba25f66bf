package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/criu"
	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/store"
	"github.com/ocirt/ocirt/spec"
)

// RestoreOptions are the choices of Restore.
type RestoreOptions struct {
	CRIUOptions

	// Stdio take the places of what the container had for standard streams; see Inherit.
	// With process.terminal they are not used.
	Stdio [3]*os.File

	ConsoleSocket string // as in CreateOptions
	PidFile       string // as in CreateOptions
	NoPivot       bool   // accepted for callers of create: CRIU decides how it changes the root
	NoNewKeyring  bool   // as in CreateOptions

	TCPClose        bool
	LSMProfile      string // "apparmor:NAME" or "selinux:LABEL", instead of the saved one
	LSMMountContext string // SELinux context of the mounts, instead of the saved one
}

// restoreLog is the name of CRIU's log.
const restoreLog = "restore.log"

// Restore makes a container whose processes are those that Checkpoint has saved, and lets
// them run. What the container sees of the host comes from the bundle alone. If it fails,
// nothing of the container is left.
func (rt *Runtime) Restore(ctx context.Context, id string, b *spec.Bundle, o RestoreOptions) (_ *Container, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	dirs, err := openImages(&o.CRIUOptions, false)
	if err != nil {
		return nil, err
	}
	defer dirs.close()
	if err := dirs.complete(); err != nil {
		return nil, err
	}
	m, err := rt.prepare(id, b, CreateOptions{
		Stdio: o.Stdio, ConsoleSocket: o.ConsoleSocket, PidFile: o.PidFile, NoPivot: o.NoPivot, NoNewKeyring: o.NoNewKeyring,
	})
	if err != nil {
		return nil, err
	}
	defer m.close()
	m.host.Context = ctx
	if err := m.claim(id); err != nil {
		return nil, err
	}
	r := &restoring{making: m, dirs: dirs, options: o}
	defer func() { closeAll(r.opened) }()
	defer func() {
		if err != nil {
			err = r.rollBack(ctx, err)
		}
	}()
	c, err := r.restore()
	if err != nil {
		return nil, err
	}
	return c, c.poststart(ctx, b)
}

// complete reports a folder that cannot be a checkpoint.
func (d *imageDirs) complete() error {
	var st unix.Stat_t
	err := unix.Fstatat(int(d.images.Fd()), "inventory.img", &st, 0)
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("--image-path: %q holds no checkpoint: inventory.img is missing", d.imagesPath)
	}
	if err != nil {
		return fmt.Errorf("--image-path: cannot look into %q: %w", d.imagesPath, err)
	}
	return nil
}

// A restoring is a Restore in progress.
type restoring struct {
	*making
	dirs    *imageDirs
	options RestoreOptions
	early   []step.Entry
	late    []step.Entry
	trees   []hostTree
	inherit []criu.InheritFD
	joins   []criu.Pair
	opened  []*os.File
	files   []*os.File // for CRIU, from descriptor 4
	session *criu.Session
	hooked  bool
	master  *os.File
	c       *Container
}

// rollBack takes back what was made, of which nothing must be left.
func (r *restoring) rollBack(ctx context.Context, cause error) error {
	if r.master != nil {
		r.master.Close()
	}
	err := r.endTasks(context.WithoutCancel(ctx))
	if loans := returnLoans(r.host.Loans); loans != nil {
		err = errors.Join(err, loans)
	}
	r.host.Loans = nil
	if err != nil {
		cause = errors.Join(cause, err)
	}
	out := r.making.rollBack(ctx, cause)
	if r.hooked && !reachedHooks(cause) {
		if err := poststop(context.WithoutCancel(ctx), r.input.Bundle, r.input.ID, true); err != nil {
			r.rt.warnf("%v", err)
		}
	}
	return out
}

// endTasks kills what CRIU may have left.
func (r *restoring) endTasks(ctx context.Context) error {
	if r.session != nil {
		r.session.Kill()
	}
	if r.rec.Pid != 0 {
		if pidfd, err := r.rec.Process().Open(); err == nil {
			_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
			_, _ = unix.Wait4(r.rec.Pid, nil, 0, nil)
			unix.Close(pidfd)
		}
	}
	if len(r.host.Made) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	return loadGroup(&r.rec.Cgroup, r.rec.Cgroup.Paths).Kill(ctx)
}

func returnLoans(loans []step.Loan) error {
	var errs []error
	for i := len(loans) - 1; i >= 0; i-- {
		errs = append(errs, loans[i].Return())
		loans[i].Keep()
	}
	return errors.Join(errs...)
}

// do does steps of the host.
func (r *restoring) do(entries []step.Entry) error {
	for _, e := range entries {
		var err error
		switch s := e.Step.(type) {
		case step.HostStep:
			err = s.Do(r.host)
		case step.SandboxStep:
			err = r.inNetwork(func() error { return s.Do(&step.Sandbox{Input: r.input, Pid: r.host.Pid, Warn: r.host.Warn}) })
		default:
			err = fmt.Errorf("bug in ocirt: it is a %T", e.Step)
		}
		if err != nil {
			return &step.Error{ID: r.rec.ID, Step: e.Step.String(), From: e.From, Where: "host", Err: err}
		}
	}
	return nil
}

// notified acts when CRIU waits for us.
func (r *restoring) notified(n *criu.Notification) error {
	switch n.Name {
	case "setup-namespaces":
		r.host.Pid, r.hooked = n.Pid, true
		return r.do(r.early)
	case "orphan-pts-master":
		if len(n.Files) == 0 {
			return errors.New("CRIU sent no terminal")
		}
		r.master, n.Files = n.Files[0], nil
		return nil
	case "post-restore":
		return r.restored(n.Pid)
	}
	return nil
}

// restored is done when the processes are there and do not run yet: what can fail fails
// now, and they never ran.
func (r *restoring) restored(pid int) error {
	r.host.Pid = pid
	if err := checkMounts(pid, r.trees); err != nil {
		return err
	}
	if err := r.do(r.late); err != nil {
		return err
	}
	who, err := store.Identify(pid)
	if err != nil {
		return fmt.Errorf("cannot identify init: %w", err)
	}
	r.rec.Pid, r.rec.StartTime, r.rec.Phase = who.Pid, who.Start, store.PhaseCreated
	r.rec.Cgroup.Made = r.host.Made
	r.rec.Descriptors = descriptorNames(r.options.Stdio[:]) // for the next checkpoint
	init := launch.Restored(pid, r.master)
	r.c = &Container{rt: r.rt, root: r.root, dir: r.dir, rec: r.rec, self: &created{init: init, plan: r.plan, console: r.master}}
	if err := r.handOver(init, r.c); err != nil {
		return err
	}
	if r.c.self.console == nil {
		r.master = nil // it has been sent
	}
	draft, err := r.dir.Draft(r.rec)
	if err != nil {
		return err
	}
	return draft.Save()
}

// notifyFolder is for a container that had a socket for sd_notify: the folder is empty now,
// as nobody waits for what it says.
func (r *restoring) notifyFolder() string { return filepath.Join(r.dir.Path(), notifyDirName) }

// restore makes the container.
func (r *restoring) restore() (_ *Container, err error) {
	if err := r.look(); err != nil {
		return nil, err
	}
	if err := linux.MkdirAt(r.dir.File(), notifyDirName, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the notify socket: %w", err)
	}
	if err := r.giveStreams(); err != nil {
		return nil, err
	}
	defer r.rt.warnIf(keepCgroupOptions())
	if err := onThread(r.start); err != nil {
		return nil, err
	}
	if err := r.makeGroups(); err != nil {
		return nil, err
	}
	opts, err := r.criuOptions()
	if err != nil {
		return nil, err
	}
	_, err = r.session.Do(&criu.Request{Type: criu.Restore, Options: opts}, r.notified)
	if err != nil {
		return nil, r.dirs.explain("restore", r.rec.ID, restoreLog, err)
	}
	r.session.Close()
	if r.c == nil {
		return nil, errors.New("cannot restore: CRIU never said that the processes are there")
	}
	for _, l := range r.host.Loans {
		l.Keep()
	}
	r.host.Loans = nil
	r.dir.Unlock()
	return r.c, nil
}
