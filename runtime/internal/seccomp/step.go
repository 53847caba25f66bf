package seccomp

import (
	"encoding/binary"
	"fmt"
	goruntime "runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// LoadFilter makes the kernel ask a filter before each system call of the process, of its
// children and of what they execute.
type LoadFilter struct {
	Program []unix.SockFilter
	Flags   uint // of seccomp(2), if the kernel knows them
}

// WithPrivilege compiles linux.seccomp if process.noNewPrivileges is not set. Then loading
// needs CAP_SYS_ADMIN, and the calls that init makes afterwards need to be allowed.
func WithPrivilege(in *step.Input, emit step.Emit) error {
	if in.Process == nil || in.Process.NoNewPrivileges {
		return nil
	}
	return emitFilter(in, emit)
}

// Unprivileged compiles linux.seccomp if process.noNewPrivileges is set: only execve comes
// after it.
func Unprivileged(in *step.Input, emit step.Emit) error {
	if in.Process == nil || !in.Process.NoNewPrivileges {
		return nil
	}
	return emitFilter(in, emit)
}

func emitFilter(in *step.Input, emit step.Emit) error {
	l := in.Bundle.Spec.Linux
	if l == nil || l.Seccomp == nil {
		return nil
	}
	p := l.Seccomp
	for i := range p.Syscalls {
		if p.Syscalls[i].Action == specs.ActNotify {
			return fmt.Errorf("linux.seccomp.syscalls[%d].action: SCMP_ACT_NOTIFY is not supported yet", i)
		}
	}
	m, ok := machineOf(goruntime.GOARCH)
	if !ok {
		return fmt.Errorf("linux.seccomp: not supported on %s", goruntime.GOARCH)
	}
	flags, err := flagsOf(p)
	if err != nil {
		return err
	}
	program, err := compile(p, &m)
	if err != nil {
		return err
	}
	emit("/linux/seccomp", LoadFilter{Program: program, Flags: flags})
	return nil
}

// flagsOf returns the flags that a profile wants. If it does not speak of flags at all,
// the process is not slowed down by mitigations that it has not asked for. TSYNC is about
// other threads, of which there are none; WAIT_KILLABLE_RECV is about a listener, and the
// kernel refuses it without one.
func flagsOf(p *specs.LinuxSeccomp) (uint, error) {
	if p.Flags == nil {
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, nil
	}
	var flags uint
	for _, f := range p.Flags {
		switch f {
		case specs.LinuxSeccompFlagLog:
			flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case "SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagWaitKillableRecv:
		default:
			return 0, fmt.Errorf("string %s is not a valid flag for seccomp", f)
		}
	}
	return flags, nil
}

func (s LoadFilter) String() string {
	return fmt.Sprintf("load seccomp filter, %d instructions", len(s.Program))
}

// Lower writes the call. Flags that the kernel is too old for are left out: they change
// what is logged and how fast it is, not what is allowed.
func (s LoadFilter) Lower(i *step.Init) error {
	flags := s.Flags
	if !i.Input.Facts.AtLeast(4, 14) {
		flags &^= unix.SECCOMP_FILTER_FLAG_LOG
	}
	if !i.Input.Facts.AtLeast(4, 17) {
		flags &^= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	}
	code := make([]byte, 0, 8*len(s.Program))
	for _, in := range s.Program {
		code = binary.NativeEndian.AppendUint16(code, in.Code)
		code = append(code, in.Jt, in.Jf)
		code = binary.NativeEndian.AppendUint32(code, in.K)
	}
	// struct sock_fprog: the length, and after a gap the address.
	program := make([]byte, 16)
	binary.NativeEndian.PutUint16(program, uint16(len(s.Program)))
	binary.NativeEndian.PutUint64(program[8:], uint64(i.Bytes(code)))
	i.Call(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, int(flags), i.Bytes(program)).Label("load seccomp filter")
	return nil
}
