// Package steptest runs steps as the builder does, in a fresh process with fresh
// namespaces, so that a test can look at what became of the kernel's state.
//
// The process is the test binary, executed again for one test. Both run the test function
// from its beginning; In is where they part. So what stands before In must be harmless to
// do twice, and what a test wants to look at on the host it looks at after In.
//
// What belongs here: namespaces, the order of Open, Give and Do. What does not: any
// particular step.
package steptest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

const childVariable = "OCIRT_STEPTEST_CHILD"

// Options say in which namespaces a test runs. A mount, pid, ipc and uts namespace it
// always gets.
type Options struct {
	User    bool // a user namespace that maps 65536 ids to themselves
	Network bool
	Cgroup  bool
}

// In runs body in a fresh process and fresh namespaces, with all mounts private to it. It
// fails the test if body fails.
func In(t *testing.T, o Options, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(childVariable) == t.Name() {
		// What the body mounts must not come out, and must not hide what it looks at.
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			t.Fatal("mount /proc:", err)
		}
		// Temporary files go with the namespace, whatever becomes of this process.
		if err := unix.Mount("tmpfs", os.TempDir(), "tmpfs", 0, "mode=1777"); err != nil {
			t.Fatal("mount temporary directory:", err)
		}
		body(t)
		return
	}
	if o.User {
		need.Root(t) // to map more than one id
	}
	pattern := "^" + strings.Join(strings.Split(t.Name(), "/"), "$/^") + "$"
	c := exec.Command("/proc/self/exe", "-test.run="+pattern, "-test.v", "-test.count=1", "-test.timeout=60s")
	// What the machine promises, it does not promise in there.
	c.Env = append(os.Environ(), childVariable+"="+t.Name(), "OCIRT_TEST_PROMISES=")
	flags := uintptr(unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if o.User {
		flags |= unix.CLONE_NEWUSER
		same := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
		c.SysProcAttr.UidMappings, c.SysProcAttr.GidMappings = same, same
		c.SysProcAttr.GidMappingsEnableSetgroups = true
	}
	if o.Network {
		flags |= unix.CLONE_NEWNET
	}
	if o.Cgroup {
		flags |= unix.CLONE_NEWCGROUP
	}
	c.SysProcAttr.Cloneflags = flags
	out, err := c.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("in the namespaces: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()+" "):
		_, why, _ := strings.Cut(string(out), t.Name()+": ")
		why, _, _ = strings.Cut(why, "\n")
		t.Skip("in the namespaces: " + why)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()+" "):
		t.Fatalf("the test did not run in the namespaces:\n%s", out)
	}
}

// A Compile function is a part of the plan.
type Compile = func(*step.Input, step.Emit) error

// Plan compiles the parts in their order.
func Plan(in *step.Input, parts ...Compile) ([]step.Entry, error) {
	var list []step.Entry
	for _, part := range parts {
		err := part(in, func(from string, s step.Step) { list = append(list, step.Entry{From: from, Step: s}) })
		if err != nil {
			return list, err
		}
	}
	return list, nil
}

// Build compiles the parts and does their Sandbox steps in order, on a thread with a mount
// namespace of its own that is thrown away with it. Then look is called there, with the
// error of the step that failed. It must be called inside of In.
func Build(t *testing.T, in *step.Input, parts []Compile, look func(b *step.Sandbox, err error)) {
	t.Helper()
	list, err := Plan(in, parts...)
	if err != nil {
		look(&step.Sandbox{Input: in}, err)
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		proc, err := os.Open("/proc")
		if err != nil {
			t.Error(err)
			return
		}
		b := &step.Sandbox{Input: in, Proc: proc, Warn: t.Logf}
		look(b, build(t, b, list))
		for _, f := range []*os.File{b.Root, b.Proc, b.Cwd, b.Console, b.Master} {
			if f != nil {
				f.Close()
			}
		}
	}()
	<-done
}

func build(t *testing.T, b *step.Sandbox, list []step.Entry) error {
	host := &step.Host{Input: b.Input, Pid: os.Getpid(), Warn: t.Logf}
	files := make([][]*os.File, len(list))
	for i, e := range list {
		var err error
		switch s := e.Step.(type) {
		case step.Opener:
			files[i], err = s.Open(host)
		case step.Giver:
			files[i], err = give(s)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Step, err)
		}
	}
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	for i, e := range list {
		s, ok := e.Step.(step.SandboxStep)
		if !ok {
			continue
		}
		b.Files = files[i]
		if err := s.Do(b); err != nil {
			return fmt.Errorf("%s: %w", e.Step, err)
		}
	}
	return nil
}

// give lets a process with a pid namespace of its own make what the step wants from init.
func give(s step.Giver) ([]*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "theirs")
	var p entry.Program
	p.ReportTo(p.Inherit(theirs))
	slots, err := s.Give(&p)
	if err != nil {
		theirs.Close()
		return nil, err
	}
	p.TellFiles("made", len(slots), func(files []entry.Slot) {
		for i, slot := range slots {
			p.Call(unix.SYS_DUP, slot).KeepIn(files[i])
		}
	})
	p.Exit(0)
	pid, err := p.Start([]*os.File{os.Stdin, os.Stdout, os.Stderr}, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID})
	theirs.Close()
	if err != nil {
		return nil, err
	}
	defer unix.Wait4(pid, nil, 0, nil)
	return receive(&p, pair[0], len(slots))
}

func receive(p *entry.Program, socket, n int) ([]*os.File, error) {
	message, control := make([]byte, entry.RecordSize), make([]byte, unix.CmsgSpace(4*n))
	size, controlSize, _, _, err := unix.Recvmsg(socket, message, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	r, ok := entry.ParseRecord(message[:size])
	if !ok {
		return nil, errors.New("init said nothing")
	}
	if r.Errno != 0 {
		label, _ := p.Describe(r.Call)
		return nil, fmt.Errorf("%s: %w", label, r.Errno)
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlSize])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("no descriptors: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	var files []*os.File
	for _, fd := range fds {
		files = append(files, os.NewFile(uintptr(fd), "given"))
	}
	return files, err
}
