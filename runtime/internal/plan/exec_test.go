package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

func TestExecGolden(t *testing.T) {
	found := false
	for _, file := range cases(t) {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := section(a, "exec")
		if want == nil {
			continue
		}
		found = true
		in := input(t, a)
		in.Join = &step.Join{Pid: 42}
		p, err := CompileExec(in)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			want.Data = []byte(p.Text())
			if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if string(want.Data) != p.Text() {
			t.Errorf("%s: plan of exec differs (make golden rewrites it), got:\n%s", filepath.Base(file), p.Text())
		}
	}
	if !found {
		t.Error("no case has a plan of exec")
	}
}

// What create does to make a process the container's, exec does, too: a setting that one of
// them forgets would be a way around it.
func TestExecHasEverySettingOfCreate(t *testing.T) {
	onlyCreate := []string{"plan.WaitForGo", "tty.UseConsole"}
	for _, file := range cases(t) {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		create, err := Compile(input(t, a))
		if err != nil {
			t.Fatal(err)
		}
		in := input(t, a)
		in.Join = &step.Join{Pid: 42}
		exec, err := CompileExec(in)
		if err != nil {
			t.Fatal(err)
		}
		done := map[string]bool{}
		for _, e := range slices.Concat(exec.Before, exec.Process) {
			done[fmt.Sprintf("%T %v", e.Step, e.Step)] = true
		}
		for _, e := range slices.Concat(create.Before, create.Process) {
			kind := fmt.Sprintf("%T", e.Step)
			if slices.Contains(onlyCreate, kind) || kind == "rootfs.EnterRoot" && in.Options.NoPivot {
				continue
			}
			if !done[kind+" "+e.Step.String()] && kind != "process.RunProgram" && kind != "process.SetAffinity" {
				t.Errorf("%s: exec does not %v (%s)", filepath.Base(file), e.Step, kind)
			}
		}
	}
}

// Where a process enters the pid namespace: as late as the settings allow, and once.
func TestExecEntersLate(t *testing.T) {
	a, err := txtar.ParseFile("testdata/exec.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		edit  func(*step.Input)
		after string // the step before it begins so
	}{
		{"no new privileges", func(in *step.Input) { in.Process.NoNewPrivileges = true }, "set umask"},
		{"no filter", func(in *step.Input) { in.Bundle.Spec.Linux.Seccomp = nil }, "set umask"},
		{"filter with privilege", func(*step.Input) {}, "set umask"},
		{"filter that forbids to fork", func(in *step.Input) {
			in.Bundle.Spec.Linux.Seccomp.Syscalls = []specs.LinuxSyscall{{Names: []string{"clone"}, Action: specs.ActErrno}}
		}, "limit capabilities"},
		{"filter that kills who forks", func(in *step.Input) {
			in.Bundle.Spec.Linux.Seccomp.Syscalls = []specs.LinuxSyscall{{Names: []string{"setsid"}, Action: specs.ActKillProcess}}
		}, "limit capabilities"},
		{"filter that tells of forks", func(in *step.Input) {
			in.Bundle.Spec.Linux.Seccomp.ListenerPath = "/run/agent"
			in.Bundle.Spec.Linux.Seccomp.Syscalls = []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}
		}, "limit capabilities"},
		{"deadline", func(in *step.Input) {
			in.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1, Deadline: 2, Period: 3}
		}, "run on"},
		{"reset on fork", func(in *step.Input) {
			in.Process.NoNewPrivileges = true
			in.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}
		}, "run on"},
	} {
		in := input(t, a)
		in.Join = &step.Join{Pid: 42}
		c.edit(in)
		p, err := CompileExec(in)
		if err != nil {
			t.Fatal(err)
		}
		times := 0
		for i, e := range p.Process {
			if _, ok := e.Step.(EnterPIDNamespace); ok {
				times++
				if before := p.Process[i-1].Step.String(); !strings.HasPrefix(before, c.after) {
					t.Errorf("%s: it enters after %q, want %q", c.name, before, c.after)
				}
			}
		}
		if times != 1 {
			t.Errorf("%s: it enters %d times", c.name, times)
		}
	}
	in := input(t, a)
	in.Join = &step.Join{Pid: 42}
	in.Bundle.Spec.Linux.Namespaces = in.Bundle.Spec.Linux.Namespaces[1:]
	p, err := CompileExec(in)
	if err != nil {
		t.Fatal(err)
	}
	if text := p.Text(); strings.Contains(text, "enter the pid namespace") {
		t.Errorf("it enters a namespace that there is not:\n%s", text)
	}
}

// So does a container's first process, into a pid namespace that exists; into a new one it
// is born.
func TestCreateEntersLate(t *testing.T) {
	a, err := txtar.ParseFile("testdata/exec.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path, after string
		edit        func(*step.Input)
	}{
		"new":    {"", "", func(*step.Input) {}},
		"joined": {"/run/ns/pid", "set umask", func(*step.Input) {}},
		"filter that forbids to fork": {"/run/ns/pid", "limit capabilities", func(in *step.Input) {
			in.Bundle.Spec.Linux.Seccomp.Syscalls = []specs.LinuxSyscall{{Names: []string{"clone"}, Action: specs.ActErrno}}
		}},
		// The terminal must not be lost with the other descriptors.
		"filter that forbids to keep the terminal": {"/run/ns/pid", "limit capabilities", func(in *step.Input) {
			in.Process.Terminal = true
			in.Bundle.Spec.Linux.Seccomp.Syscalls = []specs.LinuxSyscall{{Names: []string{"dup3"}, Action: specs.ActErrno}}
		}},
	} {
		in := input(t, a)
		for i := range in.Bundle.Spec.Linux.Namespaces {
			if n := &in.Bundle.Spec.Linux.Namespaces[i]; n.Type == specs.PIDNamespace {
				n.Path = c.path
			}
		}
		c.edit(in)
		p, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		after := ""
		for i, e := range p.Process {
			if _, ok := e.Step.(EnterPIDNamespace); ok {
				after += p.Process[i-1].Step.String()
			}
		}
		if !strings.HasPrefix(after, c.after) || (after == "") != (c.after == "") {
			t.Errorf("%s: it enters after %q, want %q", name, after, c.after)
		}
	}
}
