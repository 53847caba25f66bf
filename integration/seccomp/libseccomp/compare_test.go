package libseccomp

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
)

// A way is an architecture by which a machine's kernel can be called.
type way struct {
	name  specs.Arch
	audit uint32
	base  uint32
	wide  bool
}

// A machine is the ways of calling its kernel, the native one first, and what Go calls it.
type machine struct {
	goarch string
	big    bool
	enosys uint32
	ways   []way
}

var machines = []machine{
	{"amd64", false, 38, []way{{specs.ArchX86_64, 0xc000003e, 0, true}, {specs.ArchX32, 0xc000003e, 0x40000000, false}, {specs.ArchX86, 0x40000003, 0, false}}},
	{"386", false, 38, []way{{specs.ArchX86, 0x40000003, 0, false}}},
	{"arm64", false, 38, []way{{specs.ArchAARCH64, 0xc00000b7, 0, true}, {specs.ArchARM, 0x40000028, 0, false}}},
	{"arm", false, 38, []way{{specs.ArchARM, 0x40000028, 0, false}}},
	{"riscv64", false, 38, []way{{specs.ArchRISCV64, 0xc00000f3, 0, true}}},
	{"ppc64le", false, 38, []way{{specs.ArchPPC64LE, 0xc0000015, 0, true}}},
	{"ppc64", true, 38, []way{{specs.ArchPPC64, 0x80000015, 0, true}, {specs.ArchPPC, 0x14, 0, false}}},
	{"ppc", true, 38, []way{{specs.ArchPPC, 0x14, 0, false}}},
	{"s390x", true, 38, []way{{specs.ArchS390X, 0x80000016, 0, true}, {specs.ArchS390, 0x16, 0, false}}},
	{"s390", true, 38, []way{{specs.ArchS390, 0x16, 0, false}}},
	{"mips64", true, 89, []way{{specs.ArchMIPS64, 0x80000008, 5000, true}, {specs.ArchMIPS64N32, 0xa0000008, 6000, false}, {specs.ArchMIPS, 8, 4000, false}}},
	{"mips64le", false, 89, []way{{specs.ArchMIPSEL64, 0xc0000008, 5000, true}, {specs.ArchMIPSEL64N32, 0xe0000008, 6000, false}, {specs.ArchMIPSEL, 0x40000008, 4000, false}}},
	{"mips", true, 89, []way{{specs.ArchMIPS, 8, 4000, false}}},
	{"mipsle", false, 89, []way{{specs.ArchMIPSEL, 0x40000008, 4000, false}}},
	{"parisc64", true, 251, []way{{specs.ArchPARISC64, 0x8000000f, 0, true}, {specs.ArchPARISC, 0xf, 0, false}}},
	{"parisc", true, 251, []way{{specs.ArchPARISC, 0xf, 0, false}}},
}

// capabilities are sets for which engines write different profiles.
var capabilities = map[string][]string{
	"none": nil,
	"docker": {
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	},
	"all": {
		"CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_CHROOT", "CAP_SYS_MODULE", "CAP_SYS_PACCT",
		"CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_SYS_NICE", "CAP_SYSLOG", "CAP_BPF",
		"CAP_PERFMON", "CAP_AUDIT_WRITE", "CAP_NET_ADMIN",
	},
}

// data is struct seccomp_data as the machine in user space reads it: each word of 32 bits
// in network order.
func data(number, audit uint32, args [6]uint64, big bool) []byte {
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b, number)
	binary.BigEndian.PutUint32(b[4:], audit)
	for i, a := range args {
		high, low := 16+8*i+4, 16+8*i
		if big {
			high, low = low, high
		}
		binary.BigEndian.PutUint32(b[high:], uint32(a>>32))
		binary.BigEndian.PutUint32(b[low:], uint32(a))
	}
	return b
}

// known leaves out the names that this libseccomp does not know on any of the ways: it is
// older than our tables.
func known(p *specs.LinuxSeccomp, m *machine) *specs.LinuxSeccomp {
	q := *p
	q.Syscalls = nil
	for _, s := range p.Syscalls {
		s.Names = slices.Clone(s.Names)
		s.Names = slices.DeleteFunc(s.Names, func(name string) bool {
			for _, w := range m.ways {
				if _, ok := number(w.name, name); ok {
					return false
				}
			}
			return true
		})
		if len(s.Names) > 0 {
			q.Syscalls = append(q.Syscalls, s)
		}
	}
	return &q
}

// newest is the largest number that a profile names on a way: newer calls shall not exist,
// which is runc's addition to what libseccomp does.
func newest(p *specs.LinuxSeccomp, a specs.Arch) (n int) {
	n = -1
	for _, s := range p.Syscalls {
		for _, name := range s.Names {
			if i, ok := number(a, name); ok && i < 0xf0000 || ok && a == specs.ArchX32 {
				n = max(n, i)
			}
		}
	}
	return n
}

// ours is the filter that ocirt makes for a machine.
func ours(t *testing.T, dir string, m *machine) []bpf.Instruction {
	t.Helper()
	program := os.Getenv("OCIRT")
	if program == "" {
		program = "../../../bin/ocirt"
	}
	cmd := exec.Command(program, "seccomp", "disasm", "--raw", "--arch", string(m.ways[0].name), dir)
	cmd.Stderr = os.Stderr
	code, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return parse(code, m.order())
}

func (m *machine) order() binary.ByteOrder {
	if m.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func bundle(t *testing.T, p *specs.LinuxSeccomp) string {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(&specs.Spec{
		Version: "1.2.0", Root: &specs.Root{Path: "rootfs"}, Process: &specs.Process{Args: []string{"true"}, Cwd: "/"},
		Linux: &specs.Linux{Seccomp: p},
	})
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "rootfs"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// interesting are values near those that a profile speaks of.
func interesting(p *specs.LinuxSeccomp) []uint64 {
	values := []uint64{0, 1, 2, 8, 16, 20, 0xffff, 1<<32 - 1, 1 << 32, 1<<32 | 1, 1<<64 - 1}
	for _, s := range p.Syscalls {
		for _, a := range s.Args {
			for _, v := range []uint64{a.Value, a.ValueTwo} {
				values = append(values, v, v+1, v-1, v|1<<32)
			}
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// TestDefaultProfiles asks both filters about every call of every architecture.
func TestDefaultProfiles(t *testing.T) {
	all, err := engines()
	if err != nil {
		t.Fatal(err)
	}
	for name, engine := range all {
		for caps, list := range capabilities {
			for i := range machines {
				m := &machines[i]
				t.Run(fmt.Sprintf("%s/%s/%s", name, caps, m.goarch), func(t *testing.T) {
					compare(t, known(engine(m.ways[0].name, m.goarch, list), m), m)
				})
			}
		}
	}
}

func compare(t *testing.T, p *specs.LinuxSeccomp, m *machine) {
	ways := m.ways[:1:1]
	for _, w := range m.ways[1:] {
		if slices.Contains(p.Architectures, w.name) {
			ways = append(ways, w)
		}
	}
	var abis []specs.Arch
	for _, w := range ways {
		abis = append(abis, w.name)
	}
	raw, err := compile(p, abis)
	if err != nil {
		t.Fatal(err)
	}
	code := repair(parse(raw, m.order()))
	theirs, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	filter := ours(t, bundle(t, p), m)
	mine, err := bpf.NewVM(filter)
	if err != nil {
		t.Fatal(err)
	}
	c := comparison{t: t, profile: p, machine: m, theirs: theirs, ours: mine, values: interesting(p), random: rand.New(rand.NewPCG(1, 2))}
	for _, w := range m.ways {
		c.way(w, slices.Contains(abis, w.name))
	}
	t.Logf("%d calls, %d of them depend on arguments; %d instructions, libseccomp %d", c.calls, c.dependent, len(filter), len(code))
	if c.calls == 0 {
		t.Error("nothing was compared")
	}
}

// repair puts right what libseccomp 2.5.4 gets wrong when it makes a filter for a machine of
// the other byte order: the values of some returns are in its own.
func repair(code []bpf.Instruction) []bpf.Instruction {
	actions := []uint32{0x80000000, 0x00030000, 0x00050000, 0x7fc00000, 0x7ff00000, 0x7ffc0000, 0x7fff0000}
	for i, in := range code {
		r, ok := in.(bpf.RetConstant)
		if swapped := bits.ReverseBytes32(r.Val); ok && !slices.Contains(actions, r.Val&^0xffff) && slices.Contains(actions, swapped&^0xffff) {
			code[i] = bpf.RetConstant{Val: swapped}
		}
	}
	return code
}

// TestNumbers gives each call an errno of its own, so that the filter tells which number
// ocirt takes for which name.
func TestNumbers(t *testing.T) {
	names := tableNames(t)
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	for i, name := range names {
		errno := uint(i + 1)
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActErrno, ErrnoRet: &errno})
	}
	for i := range machines {
		m := &machines[i]
		for _, w := range m.ways {
			p.Architectures = append(p.Architectures, w.name)
		}
		vm, err := bpf.NewVM(ours(t, bundle(t, p), m))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range m.ways {
			checkNumbers(t, vm, m, w, names)
		}
	}
}

func checkNumbers(t *testing.T, vm *bpf.VM, m *machine, w way, names []string) {
	t.Helper()
	const fewest = 250
	found := 0
	for n := w.base; n < w.base+700; n++ {
		ret, err := vm.Run(data(n, w.audit, [6]uint64{}, m.big))
		if err != nil {
			t.Fatal(err)
		}
		i := ret&0xffff - 1
		if ret == 0x7fff0000 || i < 0 || i >= len(names) {
			continue
		}
		// Between -299 and -100 are calls that socketcall and ipc have as well; that their
		// numbers are right is seen above.
		if theirs, ok := number(w.name, names[i]); ok && theirs > -300 && theirs < -100 {
			found++
		} else if ok && theirs != int(n) {
			t.Errorf("%s: %s is %d, in libseccomp %d", w.name, names[i], n, theirs)
		} else if ok {
			found++
		}
	}
	for _, name := range names {
		theirs, ok := number(w.name, name)
		if !ok || theirs < 0 {
			continue
		}
		if ret, err := vm.Run(data(uint32(theirs), w.audit, [6]uint64{}, m.big)); err != nil || ret == 0x7fff0000 {
			t.Errorf("%s: ocirt does not know %s, %d in libseccomp", w.name, name, theirs)
		}
	}
	if found < fewest {
		t.Errorf("%s: only %d numbers could be compared", w.name, found)
	}
}

func tableNames(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../../../runtime/internal/seccomp/internal/gen/syscalls.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 2 && f[0] != "#" {
			names = append(names, f[0])
		}
	}
	return names
}

type comparison struct {
	t                *testing.T
	profile          *specs.LinuxSeccomp
	machine          *machine
	theirs, ours     *bpf.VM
	values           []uint64
	random           *rand.Rand
	calls, dependent int
	wrong            int
}

func (c *comparison) way(w way, named bool) {
	last := -1
	if named {
		last = newest(c.profile, w.name)
	}
	for n := range uint32(700) {
		c.call(w, w.base+n, last, named)
	}
	for _, n := range []uint32{0xf0001, 0xf0002, 0xf0005, 0xf0006, 0x3fffffff, 0x7fffffff} {
		if w.base == 0 {
			c.call(w, n, last, named)
		}
	}
}

// call compares one number with many arguments, and more if they matter.
func (c *comparison) call(w way, n uint32, last int, named bool) {
	verdicts := map[uint32]bool{}
	for tries := 0; tries < 40 || tries < 4000 && len(verdicts) > 1; tries++ {
		var args [6]uint64
		for i := range args {
			args[i] = c.values[c.random.IntN(len(c.values))]
		}
		in := data(n, w.audit, args, c.machine.big)
		got, err := c.ours.Run(in)
		if err != nil {
			c.t.Fatal(err)
		}
		want, err := c.theirs.Run(in)
		if err != nil {
			c.t.Fatal(err)
		}
		private := w.name == specs.ArchARM && n >= 0xf0000 && n < 0x100000
		if newer := named && last >= 0 && int(n) > last && !private && c.strict(); newer ||
			named && c.strict() && n == 0 && strings.HasPrefix(string(w.name), "SCMP_ARCH_S390") {
			want = 0x00050000 | int(c.machine.enosys) // runc's addition
		}
		verdicts[uint32(want)] = true
		if uint32(got) != uint32(want) {
			if c.wrong++; c.wrong < 20 {
				c.t.Errorf("%s, call %d(%#x): ocirt returns %#x, libseccomp %#x", w.name, n, args, uint32(got), uint32(want))
			}
			return
		}
	}
	c.calls++
	if len(verdicts) > 1 {
		c.dependent++
	}
}

func (c *comparison) strict() bool {
	switch c.profile.DefaultAction {
	case specs.ActAllow, specs.ActLog, specs.ActTrace:
		return false
	}
	return action(c.profile.DefaultAction, c.profile.DefaultErrnoRet) != 0x00050000|c.machine.enosys
}
