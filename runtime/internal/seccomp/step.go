package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// LoadFilter makes the kernel ask a filter before each system call of the process, of its
// children and of what they execute.
type LoadFilter struct {
	Program []unix.SockFilter
	Flags   uint // of seccomp(2)

	// Listener: the kernel tells somebody of calls, by a descriptor that init hands over
	// to its peer. Secrets are the instructions that let it do so; see seal.
	Listener bool
	Secrets  []int

	Idle []int // entries of the profile that do nothing, though they forbid: none of their calls is known
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
	m, ok := machineOf(native(goruntime.GOARCH))
	if !ok {
		return fmt.Errorf("linux.seccomp: not supported on %s", goruntime.GOARCH)
	}
	listener := Notifies(p)
	if listener && p.ListenerPath == "" {
		return errors.New("linux.seccomp.listenerPath: required with SCMP_ACT_NOTIFY")
	}
	flags, err := flagsOf(p, listener, &in.Facts)
	if err != nil {
		return err
	}
	f, err := compile(p, &m, listener)
	if err != nil {
		return err
	}
	emit("/linux/seccomp", LoadFilter{Program: f.code, Flags: flags, Listener: listener, Secrets: f.secrets, Idle: f.idle})
	return nil
}

// Notifies reports whether a profile needs a listener. If it does not, one that it names is
// ignored (runtime-spec, config-linux, seccomp).
func Notifies(p *specs.LinuxSeccomp) bool {
	return slices.ContainsFunc(p.Syscalls, func(s specs.LinuxSyscall) bool { return s.Action == specs.ActNotify })
}

// flagsOf returns the flags that a profile wants. If it does not speak of flags at all,
// the process is not slowed down by mitigations that it has not asked for. TSYNC is about
// other threads, of which there are none; WAIT_KILLABLE_RECV is about a listener, and the
// kernel refuses it without one.
func flagsOf(p *specs.LinuxSeccomp, listener bool, facts *step.Facts) (uint, error) {
	if p.Flags == nil {
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, nil
	}
	var flags uint
	for i, f := range p.Flags {
		switch f {
		case specs.LinuxSeccompFlagLog:
			flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case "SECCOMP_FILTER_FLAG_TSYNC":
		case specs.LinuxSeccompFlagWaitKillableRecv:
			if !listener {
				continue
			}
			if facts.Kernel != [2]int{} && !facts.AtLeast(5, 19) {
				return 0, fmt.Errorf("linux.seccomp.flags[%d]: %s needs Linux 5.19, this is %d.%d", i, f, facts.Kernel[0], facts.Kernel[1])
			}
			flags |= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
		default:
			return 0, fmt.Errorf("string %s is not a valid flag for seccomp", f)
		}
	}
	return flags, nil
}

// Supported reports whether this kernel takes a flag: asked with a flag that it knows it
// looks for the filter, which is nowhere (seccomp(2), EFAULT and EINVAL).
func Supported(f specs.LinuxSeccompFlag) bool {
	flags, err := flagsOf(&specs.LinuxSeccomp{Flags: []specs.LinuxSeccompFlag{f}}, true, &step.Facts{})
	if err != nil {
		return false
	}
	if flags&unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV != 0 {
		flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), 0)
	return errno == unix.EFAULT
}

func (s LoadFilter) String() string {
	text := fmt.Sprintf("load seccomp filter, %d instructions", len(s.Program))
	if s.Listener {
		text += ", with a listener"
	}
	return text
}

// Warnings are those that only compiling finds.
func (s LoadFilter) Warnings() []string {
	var list []string
	for _, i := range s.Idle {
		list = append(list, fmt.Sprintf("linux.seccomp.syscalls[%d].names: %s", i, IdleText))
	}
	return list
}

// IdleText is what is wrong with a rule that forbids calls of which none is known.
const IdleText = "no system call is known by any of these names, so the rule forbids nothing"

// Idle are the numbers of such rules of a profile.
func Idle(p *specs.LinuxSeccomp) []int {
	m, ok := machineOf(native(goruntime.GOARCH))
	if !ok {
		return nil
	}
	f, err := compile(p, &m, Notifies(p))
	if err != nil {
		return nil
	}
	return f.idle
}

// Labels of calls by which the conversation with init knows what it is about.
const (
	LoadLabel     = "load seccomp filter"
	HandOverLabel = "hand over the seccomp listener"
)

// Lower writes the call, and with a listener those that hand it over.
func (s LoadFilter) Lower(i *step.Init) error {
	if !s.Listener {
		i.Call(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, int(s.Flags), i.Bytes(fprog(i, s.Program))).Label(LoadLabel)
		return nil
	}
	secret := make([]byte, 4*passWords)
	if n, err := unix.Getrandom(secret, 0); err != nil || n != len(secret) {
		return fmt.Errorf("cannot make a secret: %w", err)
	}
	program, words := seal(s.Program, s.Secrets, secret)
	pass := make([]any, len(words))
	for n, w := range words {
		pass[n] = w
	}
	var listener entry.Slot
	i.TellFiles(HandOverLabel, 1, func(files []entry.Slot) {
		listener = files[0]
		flags := int(s.Flags | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
		i.Call(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, i.Bytes(fprog(i, program))).
			Label(LoadLabel).KeepIn(listener)
	}, pass...)
	// Only when somebody listens can it be told of anything.
	buf := i.Bytes(make([]byte, 8))
	i.Call(unix.SYS_READ, append([]any{i.Report(), buf, 1}, pass...)...).Label("wait for the seccomp agent").OrGone()
	i.Call(unix.SYS_CLOSE, append([]any{listener, 0, 0}, pass...)...).Label("close the seccomp listener")
	return nil
}

// fprog is a struct sock_fprog: the length, and after a gap the address.
func fprog(i *step.Init, program []unix.SockFilter) []byte {
	code := make([]byte, 0, 8*len(program))
	for _, in := range program {
		code = binary.NativeEndian.AppendUint16(code, in.Code)
		code = append(code, in.Jt, in.Jf)
		code = binary.NativeEndian.AppendUint32(code, in.K)
	}
	b := make([]byte, 16)
	binary.NativeEndian.PutUint16(b, uint16(len(program)))
	binary.NativeEndian.PutUint64(b[8:], uint64(i.Bytes(code)))
	return b
}
