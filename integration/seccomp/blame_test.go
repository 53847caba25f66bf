package seccomp

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func errnoRule(errno unix.Errno, names ...string) specs.LinuxSyscall {
	s := rule(specs.ActErrno, names...)
	s.ErrnoRet = new(uint(errno))
	return s
}

// When the profile forbids a call that init or a joining process needs, the error says
// which, and which rule does.
func TestForbiddenCallIsNamed(t *testing.T) {
	need.Root(t)
	const second = "/linux/seccomp/syscalls/1"
	harmless := rule(specs.ActErrno, "swapon")
	for _, test := range []struct {
		name     string
		nnp      bool
		rule     specs.LinuxSyscall
		atCreate bool
		words    []string
	}{
		{"errno in create", false, errnoRule(unix.EDOM, "setgroups"), true, []string{"linux.seccomp forbids setgroups", second}},
		{"killed in create", false, rule(specs.ActKillProcess, "setresuid"), true, []string{"SIGSYS", "linux.seccomp forbids setresuid", second}},
		{"trapped in create", false, rule(specs.ActTrap, "umask"), true, []string{"linux.seccomp forbids umask", second}},
		{"errno in start", false, errnoRule(unix.ENOMEM, "execve"), false, []string{"exec /inside: cannot allocate memory", "linux.seccomp forbids execve", second}},
		{"execve", true, errnoRule(unix.EPERM, "execve"), false, []string{"exec /inside: operation not permitted", "linux.seccomp forbids execve", second}},
		{"execve kills", true, rule(specs.ActKill, "execve"), false, []string{"exec /inside: killed by signal 31", "linux.seccomp forbids execve", second}},
		{"execve traps", false, rule(specs.ActTrap, "execve"), false, []string{"exec /inside: killed by signal 31", "linux.seccomp forbids execve", second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := lab.New(t)
			b := lab.NewBundle(t, confined(test.nnp), profile(allowBut(harmless, test.rule)))
			words := test.words
			if words[0] == "SIGSYS" {
				words = append([]string{"signal 31"}, words[1:]...)
			}
			if test.atCreate {
				r.CreateFails(b, words...)
				return
			}
			c := r.Create(b)
			r.Do("start", c.ID).Failed(words...)
			c.Delete("--force").OK()
		})
	}
}

// The same for exec. The container's own process has executed before, which its profile
// allows once it is on its way: the rule looks at what exec passes.
func TestForbiddenCallOfExecIsNamed(t *testing.T) {
	need.Root(t)
	for _, action := range []specs.LinuxSeccompAction{specs.ActErrno, specs.ActKillProcess} {
		r := lab.New(t)
		p := allowBut(rule(action, "execve"))
		b := lab.NewBundle(t, confined(true), profile(p), lab.Check("sleep", "60"))
		c := r.Create(b) // waits, and has no filter yet
		want := []string{"linux.seccomp forbids execve", "/linux/seccomp/syscalls/0"}
		res := r.Do("exec", c.ID, "/inside", "exit", "0")
		for _, w := range want {
			if res.Code == 0 || !strings.Contains(res.Stderr, w) {
				t.Errorf("%s: %v does not say %q", action, res, w)
			}
		}
		c.Delete("--force").OK()
	}
}

// A rule that forbids what nobody knows is worth a warning, and no more.
func TestIdleRule(t *testing.T) {
	r := lab.New(t)
	p := allowBut(rule(specs.ActErrno, "mkdri"), rule(specs.ActErrno, "mkdri", "rmdir"))
	b := lab.NewBundle(t, confined(true), profile(p), lab.Check("exit", "0"))
	if os.Geteuid() != 0 {
		b.Edit(lab.UserNamespace(0, uint32(os.Geteuid()), 1))
	}
	res := r.Do("run", "--bundle", b.Dir, r.ID()).OK()
	if strings.Count(res.Stderr, "forbids nothing") != 1 || !strings.Contains(res.Stderr, "linux.seccomp.syscalls[0].names") {
		t.Errorf("%v", res)
	}
	if out := r.Do("validate", b.Dir).OK().Stdout; strings.Count(out, "forbids nothing") != 1 {
		t.Error(out)
	}
}

// disasm prints the filter, and writes it.
func TestDisasm(t *testing.T) {
	r := lab.New(t)
	b := lab.NewBundle(t, profile(docker(t)))
	text := r.Do("seccomp", "disasm", "--arch", "arm64", b.Dir).OK().Lines()
	raw := r.Do("seccomp", "disasm", "--arch", "arm64", "--raw", b.Dir).OK().Stdout
	if len(raw) == 0 || len(raw) != 8*(len(text)-1) || !strings.Contains(text[0], "SCMP_ARCH_AARCH64") {
		t.Errorf("%d bytes, %d lines, %q", len(raw), len(text), text[0])
	}
	for _, word := range []string{"load architecture", "return SCMP_ACT_ALLOW", "return SCMP_ACT_ERRNO (EPERM)", "(clone)", "of arg0"} {
		if !strings.Contains(strings.Join(text, "\n"), word) {
			t.Errorf("the text does not say %q", word)
		}
	}
	r.Do("seccomp", "disasm", "--arch", "z80", b.Dir).Failed("z80")
	r.Do("seccomp", "explain", b.Dir, "no_such_call").Failed("no_such_call")
	r.Do("seccomp", "explain", b.Dir, "mkdir", "x").Failed("not a number")
	r.Do("seccomp", "explain", "--arch", "arm64", b.Dir, "mkdir").Failed("SCMP_ARCH_AARCH64 has no system call mkdir")
	plain := lab.NewBundle(t)
	r.Do("seccomp", "explain", plain.Dir, "mkdir").Failed("linux.seccomp")
}
