package seccomp

import (
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/amd64"
	"github.com/ocirt/ocirt/internal/need"
)

const x32 = 0x40000000

// caller puts a program into the bundle that makes one call and exits with its errno, or
// with 0.
func caller(b *lab.Bundle, w amd64.Way, number uint32, args ...uint64) {
	b.File("caller", string(amd64.Call(w, number, args...)), 0o755)
	b.Edit(lab.Args("/caller"))
}

const killed = 128 + int(unix.SIGSYS)

// Numbers of the other architectures.
const (
	i386Getpid, i386Mkdir, i386Socketcall = 20, 39, 102
	x32Getppid, x32Execveat               = x32 | 110, x32 | 545
)

// Calls by the numbers of another architecture do not get past a profile that does not
// speak of it, and meet its rules if it does.
func TestForeignCalls(t *testing.T) {
	need.Root(t)
	r := lab.New(t)
	plain := lab.NewBundle(t, confined(true))
	caller(plain, amd64.Int80(), i386Getpid)
	emulates := r.Do("run", "--bundle", plain.Dir, r.ID()).Code == 0
	deny := func(names ...string) specs.LinuxSyscall {
		s := rule(specs.ActErrno, names...)
		s.ErrnoRet = new(uint(unix.EDOM))
		return s
	}
	with := func(p *specs.LinuxSeccomp, arches ...specs.Arch) *specs.LinuxSeccomp {
		p.Architectures = append([]specs.Arch{specs.ArchX86_64}, arches...)
		return p
	}
	const edom = int(unix.EDOM)
	for _, test := range []struct {
		name    string
		profile *specs.LinuxSeccomp
		way     amd64.Way
		number  uint32
		args    []uint64
		want    int
		ia32    bool
	}{
		{"native", with(allowBut(deny("getppid"))), amd64.Syscall(), unix.SYS_GETPPID, nil, edom, false},
		{"32 bits, not named", with(allowBut(deny("getppid"))), amd64.Int80(), i386Getpid, nil, killed, true},
		{"32 bits, named", with(allowBut(deny("getppid")), specs.ArchX86), amd64.Int80(), i386Getpid, nil, 0, true},
		{"32 bits, forbidden", with(allowBut(deny("getpid")), specs.ArchX86), amd64.Int80(), i386Getpid, nil, edom, true},
		// 39 is getpid of the native architecture.
		{"32 bits, other number", with(allowBut(deny("getpid")), specs.ArchX86), amd64.Int80(), i386Mkdir, []uint64{0}, int(unix.EFAULT), true},
		{"32 bits, through socketcall", with(allowBut(deny("socket")), specs.ArchX86), amd64.Int80(), i386Socketcall, []uint64{1, 0}, edom, true},
		{"x32, not named", with(allowBut(deny("mkdir"))), amd64.Syscall(), x32Getppid, nil, killed, false},
		{"x32, forbidden", with(allowBut(deny("getppid")), specs.ArchX32), amd64.Syscall(), x32Getppid, nil, edom, false},
		{"x32, forbidden by its own number", with(allowBut(deny("execveat")), specs.ArchX32), amd64.Syscall(), x32Execveat, nil, edom, false},
		{"x32, number of the native one", with(allowBut(deny("mkdir"))), amd64.Syscall(), x32 | unix.SYS_MKDIR, nil, killed, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			need.Feature(t, "ia32", emulates || !test.ia32, "the kernel runs no 32-bit programs")
			r := lab.New(t)
			b := lab.NewBundle(t, confined(true), profile(test.profile))
			caller(b, test.way, test.number, test.args...)
			if res := r.Do("run", "--bundle", b.Dir, r.ID()); res.Code != test.want {
				t.Errorf("%v, want status %d", res, test.want)
			}
		})
	}
}

// What explain says is what the kernel does, with Docker's profile in a container.
func TestExplainIsTrue(t *testing.T) {
	need.Root(t)
	r := lab.New(t)
	b := lab.NewBundle(t, confined(true), profile(docker(t)))
	for _, test := range []struct {
		name string
		args []uint64
	}{
		{"getppid", nil},
		{"unshare", []uint64{0}},
		{"clone3", []uint64{0, 0}},
		{"mount", []uint64{0, 0, 0}},
		{"personality", []uint64{0x20008}},
		{"personality", []uint64{0x20009}},
		{"personality", []uint64{0xffffffff}},
		{"socket", []uint64{1, 1, 0}},
		{"socket", []uint64{38, 5, 0}},
		{"socket", []uint64{40, 1, 0}},
		{"add_key", []uint64{0, 0}},
		{"ptrace", []uint64{99, 0}},
		{"keyctl", []uint64{99}},
		{"bpf", []uint64{99, 0}},
		{"open_by_handle_at", []uint64{0, 0, 0}},
		{"reboot", []uint64{0, 0, 0}},
		{"swapoff", []uint64{0}},
		{"quotactl", []uint64{0}},
		{"mseal", []uint64{1, 1, 1}},
		{"500", nil},
		{"1000", nil},
	} {
		words := []string{"seccomp", "explain", b.Dir, test.name}
		for _, a := range test.args {
			words = append(words, strconv.FormatUint(a, 10))
		}
		said := r.Do(words...).OK().Lines()
		if len(said) != 3 {
			t.Fatalf("%s: %q", test.name, said)
		}
		head := strings.Fields(said[0])
		number := head[len(head)-3]
		n, err := strconv.ParseUint(number, 10, 32)
		must(t, err)
		caller(b, amd64.Syscall(), uint32(n), test.args...)
		code := r.Do("run", "--bundle", b.Dir, r.ID()).Code
		want := -1 // whatever the call itself does
		for text, errno := range map[string]int{"SCMP_ACT_ERRNO (EPERM)": int(unix.EPERM), "SCMP_ACT_ERRNO (ENOSYS)": int(unix.ENOSYS)} {
			if strings.Contains(said[1], text) {
				want = errno
			}
		}
		switch allowed := strings.Contains(said[1], "SCMP_ACT_ALLOW"); {
		case allowed == (want >= 0):
			t.Errorf("%s: %q", test.name, said)
		case want >= 0 && code != want:
			t.Errorf("%s%v: status %d, explained by %q", test.name, test.args, code, said)
		case allowed && (code == int(unix.EPERM) && test.name != "reboot" || code == int(unix.ENOSYS) || code == killed):
			t.Errorf("%s%v: status %d, explained by %q", test.name, test.args, code, said)
		}
	}
}
