package seccomp

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/profiles"
)

var goarches = []string{"amd64", "arm64", "riscv64", "ppc64le", "s390x", "loong64"}

// natives are all architectures that are native to a machine.
var natives = []specs.Arch{
	specs.ArchX86_64, specs.ArchX86, specs.ArchAARCH64, specs.ArchARM, specs.ArchRISCV64, specs.ArchPPC64LE,
	specs.ArchPPC64, specs.ArchPPC, specs.ArchS390X, specs.ArchS390, specs.ArchLOONGARCH64, specs.ArchMIPS64,
	specs.ArchMIPSEL64, specs.ArchMIPS, specs.ArchMIPSEL, specs.ArchPARISC64, specs.ArchPARISC, specs.ArchM68K,
	specs.ArchSH, specs.ArchSHEB,
}

func profile(t testing.TB, name string) *specs.LinuxSeccomp {
	t.Helper()
	text := profiles.Docker
	if name != "docker" {
		var err error
		if text, err = os.ReadFile("testdata/" + name + ".json"); err != nil {
			t.Fatal(err)
		}
	}
	p := new(specs.LinuxSeccomp)
	if err := json.Unmarshal(text, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func parse(t testing.TB, text string) *specs.LinuxSeccomp {
	t.Helper()
	p := new(specs.LinuxSeccomp)
	if err := json.Unmarshal([]byte(text), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func compiled(p *specs.LinuxSeccomp, m *machine) ([]unix.SockFilter, error) {
	f, err := compile(p, m, false)
	if err != nil {
		return nil, err
	}
	return f.code, nil
}

func machineFor(t testing.TB, goarch string) *machine {
	t.Helper()
	return machineNamed(t, native(goarch))
}

func machineNamed(t testing.TB, a specs.Arch) *machine {
	t.Helper()
	m, ok := machineOf(a)
	if !ok {
		t.Fatalf("%q is not known", a)
	}
	return &m
}

func TestProfiles(t *testing.T) {
	for _, name := range []string{"docker", "runtime-tools"} {
		for _, arch := range natives {
			p := profile(t, name)
			p.Architectures = append(p.Architectures, specs.ArchARM, specs.ArchAARCH64, specs.ArchS390, specs.ArchMIPS64N32)
			code := compareAll(t, p, machineNamed(t, arch), rand.New(rand.NewPCG(1, 2)), 12)
			t.Logf("%s on %s: %d instructions", name, arch, len(code))
		}
	}
}

// randomProfile makes profiles that are small and full of collisions.
func randomProfile(r *rand.Rand) *specs.LinuxSeccomp {
	actions := []specs.LinuxSeccompAction{
		specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActErrno, specs.ActErrno,
		specs.ActTrace, specs.ActAllow, specs.ActAllow, specs.ActLog, specs.ActNotify,
	}
	ops := []specs.LinuxSeccompOperator{
		specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan,
		specs.OpMaskedEqual,
	}
	pool := []string{
		"read", "write", "socket", "socketcall", "ipc", "shmat", "send", "clone", "personality", "set_tls", "sync_file_range2",
		"arm_sync_file_range", "nobody_knows", "rt_sigaction", "execve", "setup", "restart_syscall",
	}
	errno := func(a specs.LinuxSeccompAction) *uint {
		if a != specs.ActErrno && a != specs.ActTrace || r.IntN(2) == 0 {
			return nil
		}
		return new([]uint{1, 38, 13, 4095}[r.IntN(4)])
	}
	value := func() uint64 {
		return []uint64{0, 1, 2, 0xff, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1 << 63, 1<<64 - 1, 1<<64 - 8, r.Uint64()}[r.IntN(12)]
	}
	p := &specs.LinuxSeccomp{DefaultAction: actions[r.IntN(len(actions))]}
	p.DefaultErrnoRet = errno(p.DefaultAction)
	for _, a := range []specs.Arch{
		specs.ArchX86, specs.ArchX32, specs.ArchARM, specs.ArchS390, specs.ArchX86_64, specs.ArchPPC, specs.ArchMIPS,
		specs.ArchMIPSEL, specs.ArchMIPS64N32, specs.ArchMIPSEL64N32, specs.ArchPARISC,
	} {
		if r.IntN(2) == 0 {
			p.Architectures = append(p.Architectures, a)
		}
	}
	for range r.IntN(8) {
		s := specs.LinuxSyscall{Action: actions[r.IntN(len(actions))]}
		s.ErrnoRet = errno(s.Action)
		for range 1 + r.IntN(4) {
			name := pool[r.IntN(len(pool))]
			if r.IntN(3) == 0 {
				name = nameAt(r.IntN(nameCount))
			}
			s.Names = append(s.Names, name)
		}
		for range max(0, r.IntN(6)-2) {
			s.Args = append(s.Args, specs.LinuxSeccompArg{
				Index: uint(r.IntN(6)), Value: value(), ValueTwo: value(), Op: ops[r.IntN(len(ops))],
			})
		}
		p.Syscalls = append(p.Syscalls, s)
	}
	return p
}

func TestRandomProfiles(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		p := randomProfile(r)
		compareAll(t, p, machineNamed(t, natives[seed%uint64(len(natives))]), r, 6)
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		p := randomProfile(r)
		compareAll(t, p, machineNamed(t, natives[a%uint64(len(natives))]), r, 2)
	})
}

// A choices is a source of randomness that is written down, so that the fuzzer can change
// one choice and keep the others. When it is used up, numbers follow from its length.
type choices struct {
	bytes []byte
	rest  *rand.PCG
}

func (c *choices) Uint64() uint64 {
	if len(c.bytes) == 0 {
		return c.rest.Uint64()
	}
	// The top bits are those that count (math/rand/v2, IntN).
	n := uint64(c.bytes[0]) << 56
	c.bytes = c.bytes[1:]
	return n | n>>32
}

// FuzzProfile lets the fuzzer write the profile.
func FuzzProfile(f *testing.F) {
	for seed := range uint64(20) {
		source := rand.NewPCG(seed, 3)
		b := make([]byte, 40+20*seed)
		for i := range b {
			b[i] = byte(source.Uint64())
		}
		f.Add(byte(seed), b)
	}
	f.Fuzz(func(t *testing.T, arch byte, b []byte) {
		r := rand.New(&choices{bytes: b, rest: rand.NewPCG(uint64(len(b)), 5)})
		p := randomProfile(r)
		compareAll(t, p, machineNamed(t, natives[int(arch)%len(natives)]), r, 1)
	})
}

// Many rules with many conditions lead farther than a condition can jump.
func TestLongFilter(t *testing.T) {
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86, specs.ArchX32}}
	for i := range 40 {
		s := specs.LinuxSyscall{Names: []string{nameAt(11 * i), nameAt(11*i + 4)}, Action: specs.ActAllow}
		if i%3 == 0 {
			s.Action = specs.ActTrap
		}
		for j := range uint(6) {
			s.Args = append(s.Args, specs.LinuxSeccompArg{Index: j, Value: uint64(i)<<32 | 5, Op: specs.OpEqualTo})
		}
		p.Syscalls = append(p.Syscalls, s)
	}
	code := compareAll(t, p, machineFor(t, "amd64"), rand.New(rand.NewPCG(3, 4)), 20)
	if len(code) < 600 {
		t.Errorf("%d instructions test no long jumps", len(code))
	}
	for i := range p.Syscalls { // most random arguments fit no rule; these do
		o := newModel(p, machineFor(t, "amd64"))
		v := uint64(i)<<32 | 5
		for b, abi := range o.machine.abis {
			for _, name := range p.Syscalls[i].Names {
				n, ok := o.byName[b][name]
				if !abi.wide {
					v = uint64(uint32(v))
				}
				d := &data{number: n, arch: abi.audit, args: [6]uint64{v, v, v, v, v, v}}
				if got, _ := run(code, d.bytes(false), false); ok && got != o.decide(d) {
					t.Errorf("%s on %s: %#x, want %#x", name, abi.name, got, o.decide(d))
				}
			}
		}
	}
}

func TestTooLarge(t *testing.T) {
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
	for i := range 2000 {
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{
			Names: []string{"read"}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: uint64(i), Op: specs.OpEqualTo}},
		})
	}
	_, err := compiled(p, machineFor(t, "amd64"))
	if err == nil || !strings.HasPrefix(err.Error(), "linux.seccomp: filter too large (") {
		t.Fatalf("error is %v", err)
	}
	var n int
	if _, err := fmt.Sscanf(err.Error(), "linux.seccomp: filter too large (%d instructions, the kernel takes 4096)", &n); err != nil || n < 8000 {
		t.Errorf("%d instructions, %v", n, err)
	}
}

func TestTables(t *testing.T) {
	for i := range nameCount {
		if i > 0 && nameAt(i-1) >= nameAt(i) {
			t.Errorf("%s stands after %s", nameAt(i), nameAt(i-1))
		}
		if got := lookup(nameAt(i), -1); got != i {
			t.Errorf("%s is found at %d, not at %d", nameAt(i), got, i)
		}
		for column := range numbers {
			if n := numbers[column][i]; n >= maxNumber && n < privateStored {
				t.Errorf("%s has number %d", nameAt(i), n)
			}
		}
	}
	for _, name := range []string{"", "a", "zzz", "reads", "rea"} {
		if got := lookup(name, -1); got != -1 {
			t.Errorf("%q is found at %d", name, got)
		}
	}
	if nameAt(nameSocketcall) != "socketcall" || nameAt(nameIpc) != "ipc" {
		t.Error("wrong indices")
	}
	for _, goarch := range goarches {
		if m := machineFor(t, goarch); m.big != (goarch == "s390x") || m.abis[0].base != 0 {
			t.Errorf("%s: %+v", goarch, m)
		}
	}
	for _, test := range []struct {
		column int
		name   string
		number uint16
	}{
		{columnX86_64, "execve", 59},
		{columnX32, "execve", 520},
		{columnX86, "execve", 11},
		{columnAARCH64, "execve", 221},
		{columnARM, "set_tls", 0xf005},
		{columnS390, "execve", 11},
		{columnS390, "getuid32", 199},
		{columnS390X, "getuid", 199},
		{columnX86_64, "mmap2", absent},
		{columnLOONGARCH64, "clone3", 435},
		{columnPPC64, "socketcall", 102},
	} {
		if got := numbers[test.column][lookup(test.name, -1)]; got != test.number {
			t.Errorf("column %d: %s is %d, want %d", test.column, test.name, got, test.number)
		}
	}
}
