package rootfs

import (
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/steptest"
)

// initProcess is a process that was there before the root changed, as init is. It enters the
// root when told to, and says whether it finds the image's file.
type initProcess struct {
	t       *testing.T
	socket  int
	pid     int
	program *entry.Program
}

func (i *initProcess) String() string { return "start init" }

func (i *initProcess) Do(b *step.Sandbox) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	i.socket = pair[0]
	theirs := os.NewFile(uintptr(pair[1]), "theirs")
	defer theirs.Close()
	p := i.program
	p.ReportTo(p.Inherit(theirs))
	p.Wait("wait")
	list, err := steptest.Plan(b.Input, Enter)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := e.Step.(step.ProcessStep).Lower(&step.Init{Program: p, Input: b.Input}); err != nil {
			return err
		}
	}
	p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String("/file"), unix.O_RDONLY).Label("open the image's file")
	p.Tell("found")
	p.Exit(0)
	i.pid, err = p.Start([]*os.File{os.Stdin, os.Stdout, os.Stderr}, nil)
	return err
}

func (i *initProcess) finish() {
	if _, err := unix.Write(i.socket, []byte("g")); err != nil {
		i.t.Error(err)
	}
	message := make([]byte, entry.RecordSize)
	n, err := unix.Read(i.socket, message)
	r, ok := entry.ParseRecord(message[:max(n, 0)])
	if label, _ := i.program.Describe(r.Call); !ok || r.Errno != 0 || label != "found" {
		i.t.Errorf("init: %s: %v, %v", label, r.Errno, err)
	}
	unix.Close(i.socket)
	unix.Wait4(i.pid, nil, 0, nil)
}

func TestInitEntersTheRoot(t *testing.T) {
	for name, set := range map[string]func(*step.Input){
		"pivot":              func(*step.Input) {},
		"no-pivot":           func(in *step.Input) { in.Options.NoPivot = true },
		"no-mount-namespace": func(in *step.Input) { in.Bundle.Spec.Linux.Namespaces = []specs.LinuxNamespace{} },
	} {
		t.Run(name, func(t *testing.T) {
			need.Root(t)
			steptest.In(t, steptest.Options{}, func(t *testing.T) {
				in := input(t)
				set(in)
				write(t, inRoot(in, "file"), "")
				i := &initProcess{t: t, program: &entry.Program{}}
				start := func(_ *step.Input, emit step.Emit) error { emit("", i); return nil }
				steptest.Build(t, in, []steptest.Compile{Prepare, start, Pivot}, func(_ *step.Sandbox, err error) {
					if err != nil {
						t.Fatal(err)
					}
					i.finish()
				})
			})
		})
	}
}
