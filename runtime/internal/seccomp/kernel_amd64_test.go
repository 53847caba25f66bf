package seccomp

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/amd64"
	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// caller writes a program that makes one call and exits with its errno, or with 0.
func caller(t *testing.T, w amd64.Way, number uint32, args ...uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "caller")
	if err := os.WriteFile(path, amd64.Call(w, number, args...), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// execute loads the filter as a container's init does, and executes a program.
func execute(t *testing.T, p *specs.LinuxSeccomp, nnp bool, path string) syscall.WaitStatus {
	t.Helper()
	process := &specs.Process{NoNewPrivileges: nnp}
	in := &step.Input{
		Bundle:  &spec.Bundle{Spec: &specs.Spec{Process: process, Linux: &specs.Linux{Seccomp: p}}},
		Process: process, Facts: step.Facts{Kernel: [2]int{6, 1}},
	}
	var prog entry.Program
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	prog.ReportTo(prog.Inherit(theirs))
	prog.Call(unix.SYS_FCNTL, prog.Base(), unix.F_SETFD, unix.FD_CLOEXEC)
	if nnp {
		prog.Call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	}
	count := 0
	for _, part := range []func(*step.Input, step.Emit) error{WithPrivilege, Unprivileged} {
		err := part(in, func(from string, s step.Step) {
			if count++; from != "/linux/seccomp" {
				t.Errorf("step comes from %s", from)
			}
			if err := s.(step.ProcessStep).Lower(&step.Init{Program: &prog, Input: in}); err != nil {
				t.Fatal(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if p != nil && count != 1 {
		t.Errorf("%d steps load a filter", count)
	}
	prog.Call(unix.SYS_EXECVE, prog.String(path), prog.Strings([]string{path}), prog.Strings(nil)).Label("execve")
	pid, err := prog.Start([]*os.File{os.Stdin, os.Stdout, os.Stderr}, nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	record := make([]byte, entry.RecordSize)
	n, _ := unix.Read(int(ours.Fd()), record)
	if r, ok := entry.ParseRecord(record[:max(n, 0)]); ok {
		label, _ := prog.Describe(r.Call)
		t.Fatalf("%s: %v", label, r.Errno)
	}
	return status
}

const (
	allowBut = `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "syscalls": [`
	denyBut  = `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["execve", "exit_group"], "action": "SCMP_ACT_ALLOW"}`

	killed = -int(unix.SIGSYS)
)

// result is the status as one number: an errno, or a signal with a minus.
func result(s syscall.WaitStatus) int {
	if s.Signaled() {
		return -int(s.Signal())
	}
	return s.ExitStatus()
}

func TestKernel(t *testing.T) {
	const i386Getpid, i386Socketcall, i386Execve = 20, 102, 11
	int80 := func(number uint32, args ...uint64) string { return caller(t, amd64.Int80(), number, args...) }
	native := func(number uint32, args ...uint64) string { return caller(t, amd64.Syscall(), number, args...) }
	if got := result(execute(t, nil, true, native(unix.SYS_GETPPID))); got != 0 {
		t.Fatalf("without a filter: %d", got)
	}
	emulates := result(execute(t, nil, true, int80(i386Getpid))) == 0
	for _, test := range []struct {
		name, profile, program string
		want                   int
	}{
		{"errno", allowBut + `{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}`, native(unix.SYS_GETPPID), 95},
		{"other call", allowBut + `{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}`, native(unix.SYS_GETUID), 0},
		{"no errno", allowBut + `{"names": ["getppid"], "action": "SCMP_ACT_ERRNO"}]}`, native(unix.SYS_GETPPID), 1},
		{"trace without tracer", allowBut + `{"names": ["getppid"], "action": "SCMP_ACT_TRACE"}]}`, native(unix.SYS_GETPPID), 38},
		{"log", allowBut + `{"names": ["getppid"], "action": "SCMP_ACT_LOG"}]}`, native(unix.SYS_GETPPID), 0},
		{"kill process", allowBut + `{"names": ["getppid"], "action": "SCMP_ACT_KILL_PROCESS"}]}`, native(unix.SYS_GETPPID), killed},
		{"kill thread", allowBut + `{"names": ["getppid"], "action": "SCMP_ACT_KILL_THREAD"}]}`, native(unix.SYS_GETPPID), killed},
		{"kill", allowBut + `{"names": ["getppid"], "action": "SCMP_ACT_KILL"}]}`, native(unix.SYS_GETPPID), killed},
		{"trap", allowBut + `{"names": ["getppid"], "action": "SCMP_ACT_TRAP"}]}`, native(unix.SYS_GETPPID), killed},
		{"argument", allowBut + conditional("SCMP_CMP_EQ", 4294967295, 0) + `]}`, native(unix.SYS_PERSONALITY, 0xffffffff), 77},
		{"other argument", allowBut + conditional("SCMP_CMP_EQ", 4294967295, 0) + `]}`, native(unix.SYS_PERSONALITY, 0), 0},
		{"high half", allowBut + conditional("SCMP_CMP_GE", 1<<32, 0) + `]}`, native(unix.SYS_PERSONALITY, 0xffffffff), 0},
		{"high half set", allowBut + conditional("SCMP_CMP_GE", 1<<32, 0) + `]}`, native(unix.SYS_PERSONALITY, 1<<32), 77},
		{"mask", allowBut + conditional("SCMP_CMP_MASKED_EQ", 1<<40|0xf0, 1<<40) + `]}`, native(unix.SYS_PERSONALITY, 1<<40|0xf), 77},
		{"mask not", allowBut + conditional("SCMP_CMP_MASKED_EQ", 1<<40|0xf0, 1<<40) + `]}`, native(unix.SYS_PERSONALITY, 1<<40|0x10), 0},
		{"least", denyBut + `]}`, native(unix.SYS_EXIT_GROUP, 0), 0},
		{"default", denyBut + `]}`, native(unix.SYS_GETPPID), 1},
		{"newer", denyBut + `]}`, native(463), 38},
		{"older", denyBut + `, {"names": ["mseal"], "action": "SCMP_ACT_ALLOW"}]}`, native(461), 1},
		{"x32", allowBut + `]}`, native(x32Bit | unix.SYS_GETPPID), killed},
		{"docker", "docker", native(unix.SYS_GETPPID), 0},
		{"docker clone3", "docker", native(unix.SYS_CLONE3), 38},
		{"docker unshare", "docker", native(unix.SYS_UNSHARE, 0), 1},
		{"32-bit not named", denyBut + `]}`, int80(i386Getpid), killed},
		{"32-bit", allowBut + `{"names": ["getppid"], "action": "SCMP_ACT_ERRNO"}]}`, int80(i386Getpid), 0},
		{"32-bit errno", allowBut + `{"names": ["getpid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}`, int80(i386Getpid), 95},
		{"32-bit other number", allowBut + `{"names": ["munmap"], "action": "SCMP_ACT_ERRNO"}]}`, int80(i386Execve), int(unix.EFAULT)},
		{
			"socketcall", allowBut + `{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}`,
			int80(i386Socketcall, 1, 0), 95,
		},
		{
			"other socketcall", allowBut + `{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}`,
			int80(i386Socketcall, 2, 0), int(unix.EFAULT),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if bytes.Contains([]byte(test.name), []byte("32-bit")) || bytes.Contains([]byte(test.name), []byte("socketcall")) {
				need.Feature(t, "ia32", emulates, "the kernel runs no 32-bit programs")
			}
			var p *specs.LinuxSeccomp
			if test.profile[0] == '{' {
				p = parse(t, test.profile)
			} else {
				p = profile(t, test.profile)
			}
			if got := result(execute(t, p, true, test.program)); got != test.want {
				t.Errorf("result is %d, want %d", got, test.want)
			}
		})
	}
}

// conditional is a rule about the argument of personality.
func conditional(op specs.LinuxSeccompOperator, value, two uint64) string {
	return `{"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77, "args": [{"index": 0, "value": ` +
		utoa(value) + `, "valueTwo": ` + utoa(two) + `, "op": "` + string(op) + `"}]}`
}

// Without no_new_privs it takes a privilege.
func TestKernelPrivileged(t *testing.T) {
	need.Root(t)
	p := parse(t, allowBut+`{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}`)
	if got := result(execute(t, p, false, caller(t, amd64.Syscall(), unix.SYS_GETPPID))); got != 95 {
		t.Errorf("result is %d", got)
	}
}

// The kernel takes all of them.
func TestKernelTakes(t *testing.T) {
	path := caller(t, amd64.Syscall(), unix.SYS_GETPPID)
	flags := []specs.LinuxSeccompFlag{
		"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagWaitKillableRecv,
	}
	for _, f := range [][]specs.LinuxSeccompFlag{nil, {}, flags[:1], flags[1:2], flags[2:3], flags[3:], flags} {
		p := profile(t, "docker")
		p.Flags = f
		if got := result(execute(t, p, true, path)); got != 0 {
			t.Errorf("%v: result is %d", f, got)
		}
	}
	// As long as a filter may be.
	p := parse(t, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}`)
	for i := range 1000 {
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{
			Names: []string{"ioctl"}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{{Index: 1, Value: uint64(i) << 33, Op: specs.OpEqualTo}},
		})
	}
	if got := result(execute(t, p, true, path)); got != 0 {
		t.Errorf("long filter: result is %d", got)
	}
}
