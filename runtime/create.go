package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/process"
	"github.com/ocirt/ocirt/runtime/internal/rdt"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/store"
	"github.com/ocirt/ocirt/runtime/internal/thread"
	"github.com/ocirt/ocirt/spec"
)

// CreateOptions are the caller's choices that are not in config.json.
type CreateOptions struct {
	// Stdio are descriptors 0 to 2 of the container's process; see Inherit. With
	// process.terminal they are not used.
	Stdio [3]*os.File

	// ListenFiles and ExtraFiles are passed on after them, in this order: socket
	// activation (the process is told of them by LISTEN_FDS), and whatever the caller
	// wants.
	ListenFiles []*os.File
	ExtraFiles  []*os.File

	// ConsoleSocket is the path of a listening stream socket that receives the terminal's
	// master. Without it Console returns the master.
	ConsoleSocket string
	// PidfdSocket is the path of a listening stream socket that receives a pidfd of init.
	PidfdSocket string
	// PidFile is where init's pid is written, in decimal, without a newline.
	PidFile string

	NoPivot      bool // move and chroot instead of pivot_root, for a root on a ramdisk
	NoNewKeyring bool // keep the caller's session keyring

	// Hold keeps the container locked until it is started: nobody else can do anything to it
	// in between, so Start need not look what has become of it. If it is not started by this
	// process it ends with it, or when it is closed.
	Hold bool

	// Attend, if not nil, prepares for Start not to return.
	Attend *AttendOptions

	// ListenNames are the names of ListenFiles, separated by colons (sd_listen_fds(3));
	// empty: they have none.
	ListenNames string

	// BeforeMaking is called when all that can be found wrong beforehand is known to be right,
	// and nothing has been made: a program that wants to be told of signals while there is
	// half a container needs to catch them only then. Nil: nothing is called.
	BeforeMaking func()

	// NotifySocket is the address of the service manager's socket for sd_notify(3). If it
	// can be used the container gets a socket of its own in a folder at /run/notify, and
	// StartOptions say who hears what it sends. Empty: none.
	NotifySocket string
}

// pidfdReceiver is crun's annotation for what CreateOptions.PidfdSocket says.
const pidfdReceiver = "run.oci.pidfd_receiver"

// Inherit is the caller's own standard input, output and error.
func Inherit() [3]*os.File { return [3]*os.File{os.Stdin, os.Stdout, os.Stderr} }

// created is what Create knows of a container beyond its record.
type created struct {
	init    *launch.Init
	plan    *plan.Plan
	bundle  *spec.Bundle
	console *os.File
	notify  *notifier // while the container runs in the foreground

	attendant *attendant // what Start can become
	prelude   *prelude   // of Start
}

// Create builds a container up to the point where its first process waits for Start. If it
// fails, nothing of the container is left.
//
// When ctx is done, a hook that runs is killed, no other is started but those of poststop,
// and Create fails; the error wraps the cause.
func (rt *Runtime) Create(ctx context.Context, id string, b *spec.Bundle, o CreateOptions) (_ *Container, err error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	thread := birthplace(b)
	m, err := rt.prepare(id, b, o)
	if err != nil {
		thread.Close()
		return nil, err
	}
	m.thread = thread
	defer m.close()
	m.host.Context = ctx
	if o.BeforeMaking != nil {
		o.BeforeMaking()
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := m.begin(); err != nil {
		return nil, err
	}
	if err := m.claim(id); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = blameContext(ctx, m.rollBack(ctx, err))
		}
	}()
	return m.make(ctx)
}

// begin begins what needs no state directory: see launch.Begin.
func (m *making) begin() (err error) {
	if m.listener, err = newStartSocket(); err != nil {
		return err
	}
	m.draft = &draft{making: m}
	m.launch, err = launch.Begin(launch.Request{
		Born: m.draft.write, Built: m.built, Input: m.input, Plan: m.plan, Host: m.host, Files: m.files(), Listener: m.listener,
		Agent: m.agent(), Thread: m.thread, Builder: m.rt.builderFile,
	})
	return err
}

// files are the descriptors of the container's process.
func (m *making) files() []*os.File {
	return append(append(m.options.Stdio[:], m.options.ListenFiles...), m.options.ExtraFiles...)
}

// claim makes the container's state directory; from then on there is something to roll back.
func (m *making) claim(id string) error {
	root, err := m.rt.open(true)
	if err != nil {
		return err
	}
	if m.dir, err = root.Create(id, m.record()); err != nil {
		root.Close()
		return err
	}
	m.root = root
	return nil
}

// A making is a Create or a Restore in progress.
type making struct {
	rt      *Runtime
	options CreateOptions
	input   *step.Input
	plan    *plan.Plan
	host    *step.Host
	root    *store.Root
	dir     *store.Dir
	rec     *store.Record
	pidFile *pidFile
	resctrl []string // resource groups that delete will have to remove
	thread  *thread.Thread

	// Of Create alone, from begin.
	launch   *launch.Launch
	listener *os.File // the start socket
	draft    *draft
	prelude  *prelude
}

// prepare does what has no side effects: every mistake that can be found now leaves
// nothing behind.
func (rt *Runtime) prepare(id string, b *spec.Bundle, o CreateOptions) (_ *making, err error) {
	if err := spec.CheckID(id); err != nil {
		return nil, err
	}
	facts := probe()
	rootless := facts.EUID != 0 || facts.InUserNS
	said, err := rt.check(b, spec.Options{Rootless: facts.EUID != 0, Sources: true, StateRoot: rt.root, NoPivot: o.NoPivot, SystemdCgroup: rt.cgroups == SystemdCgroups})
	if err != nil {
		return nil, err
	}
	if err := rt.checkLabels(&facts, b.Spec.Process, b.Spec.Linux); err != nil {
		return nil, err
	}
	if o.PidfdSocket == "" {
		o.PidfdSocket = b.Spec.Annotations[pidfdReceiver]
	}
	m := &making{rt: rt, options: o}
	m.input = &step.Input{
		ID: id, Bundle: b, Process: b.Spec.Process, Facts: facts,
		Options: step.Options{
			NoPivot: o.NoPivot, NoNewKeyring: o.NoNewKeyring, Rootless: rootless,
			ListenFDs: len(o.ListenFiles), ListenNames: o.ListenNames, PreserveFDs: len(o.ExtraFiles),
		},
	}
	m.input.Options.NotifyDir = rt.notifyDir(m.input, o.NotifySocket)
	m.host = &step.Host{Input: m.input, Warn: rt.warnf}
	if m.host.Systemd, err = rt.placeCgroups(m.input); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if b.Spec.Linux != nil {
		if m.resctrl, err = rdt.Intent(id, b.Spec.Linux.IntelRdt); err != nil {
			return nil, &StepError{ID: id, Step: "prepare resource group", From: "/linux/intelRdt", Where: "host", Err: err}
		}
	}
	if m.plan, err = plan.Compile(m.input); err != nil {
		return nil, err
	}
	rt.warnCapabilities(process.Unavailable(m.input), process.Unraised(m.input), said)
	for _, w := range m.plan.Warnings() {
		rt.warnf("%s", w)
	}
	if err := checkAgent(b); err != nil {
		return nil, err
	}
	if m.pidFile, err = preparePidFile(o.PidFile); err != nil {
		return nil, err
	}
	return m, nil
}

// close lets go of what prepare opened; it may be called twice.
func (m *making) close() {
	if m.launch != nil {
		m.launch.Close()
	}
	if m.draft != nil {
		m.draft.attendant.close()
	}
	m.prelude.close()
	m.thread.Close()
	if m.listener != nil {
		m.listener.Close()
		m.listener = nil
	}
	m.disconnect()
	m.pidFile.close()
}

// make carries the plan out. Init is told to wait for start only when the record names it:
// until then it ends by itself if this process does.
func (m *making) make(ctx context.Context) (_ *Container, err error) {
	if err := listen(m.listener, m.dir); err != nil {
		return nil, err
	}
	if err := m.makeNotifyDir(); err != nil {
		return nil, err
	}
	if err := m.giveStreams(); err != nil {
		return nil, err
	}
	m.rec.Descriptors = descriptorNames(m.files())
	init, err := m.launch.Create(m.dir.Path())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			if abortErr := init.Abort(); abortErr != nil {
				err = errors.Join(err, abortErr)
			}
		}
	}()
	c := &Container{rt: m.rt, root: m.root, dir: m.dir, rec: m.rec, self: &created{init: init, plan: m.plan, bundle: m.input.Bundle, console: init.Master}}
	if err := m.handOver(init, c); err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, &StepError{ID: m.rec.ID, Where: "builder", Err: err}
	}
	if err := m.draft.save(init); err != nil {
		return nil, err
	}
	c.rec, c.self.attendant, c.self.prelude = m.rec, m.draft.attendant, m.prelude
	m.draft.attendant, m.prelude = nil, nil
	if !m.options.Hold {
		if err := init.Release(); err != nil {
			return nil, err
		}
		init.LetGo()
		m.dir.Unlock()
	}
	m.thread = nil // it is init's
	init.Keep()
	return c, nil
}

// giveStreams lets the container's user open its own standard streams anew, unless they
// will be a terminal of its own.
func (m *making) giveStreams() error {
	if m.input.Process != nil && m.input.Process.Terminal {
		return nil
	}
	return process.GiveStreams(m.input, m.options.Stdio[:])
}

// handOver gives the outside world what it asked for, in runc's order: terminal, pidfd,
// pid file.
func (m *making) handOver(init *launch.Init, c *Container) error {
	if init.Master != nil && m.options.ConsoleSocket != "" {
		if err := sendFile(m.options.ConsoleSocket, "console-socket", "/dev/ptmx", init.Master); err != nil {
			return err
		}
		init.Master.Close()
		c.self.console = nil
	}
	if m.options.PidfdSocket != "" {
		fd, err := unix.PidfdOpen(init.Pid, 0)
		if err != nil {
			return fmt.Errorf("cannot open init: %w", err)
		}
		f := os.NewFile(uintptr(fd), "pidfd")
		defer f.Close()
		if err := sendFile(m.options.PidfdSocket, "pidfd-socket", "standard", f); err != nil {
			return err
		}
	}
	return m.pidFile.write(init.Pid)
}

// Console is the master of the container's terminal: of a container with process.terminal
// that was made by this process without a console socket. It is the caller's to close.
func (c *Container) Console() *os.File {
	if c.self == nil {
		return nil
	}
	return c.self.console
}
