package seccomp

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// interesting are values of arguments near to those that the profile speaks of.
func interesting(p *specs.LinuxSeccomp) []uint64 {
	values := []uint64{0, 1, 2, 11, 20, 21, 0xffff, 1 << 16, 1<<16 | 1, 1<<16 | 21, 1<<32 | 1, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1<<64 - 1}
	for _, s := range p.Syscalls {
		for _, a := range s.Args {
			for _, v := range []uint64{a.Value, a.ValueTwo} {
				values = append(values, v, v+1, v-1, v^1<<32, v+1<<32, uint64(uint32(v)))
			}
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// compareAll asks the filter and the model about every number that could matter.
func compareAll(t *testing.T, p *specs.LinuxSeccomp, m *machine, random *rand.Rand, tries int) (code []unix.SockFilter) {
	t.Helper()
	f, err := compile(p, m, random.IntN(2) == 0)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("nobody guesses 24 bytes!") // or the random arguments would
	code, words := seal(f.code, f.secrets, secret)
	if len(f.secrets) > 0 {
		checkPass(t, code, m, words)
	}
	if err := checkFilter(code); err != nil {
		t.Fatal(err)
	}
	o, values := newModel(p, m), interesting(p)
	asked := 0
	ask := func(d *data) {
		got, _ := run(code, d.bytes(m.big), m.big)
		if want := o.decide(d); got != want {
			text, _ := json.Marshal(p)
			t.Fatalf("%+v: filter returns %#x, want %#x\n%s", *d, got, want, text)
		}
		if asked++; asked%307 == 0 {
			checkExplain(t, p, m, d, got, random.IntN(7))
		}
	}
	number := func(d data, wide bool) {
		for range tries {
			for i := range d.args {
				if d.args[i] = values[random.IntN(len(values))]; !wide {
					d.args[i] = uint64(uint32(d.args[i]))
				}
			}
			ask(&d)
		}
	}
	for _, b := range m.abis {
		for _, n := range numbersOf(p, m, &b, tries) {
			number(data{number: n, arch: b.audit}, b.wide)
		}
		if b.base > 0 {
			for _, n := range []uint32{0, 1, b.base - 1} {
				number(data{number: n, arch: b.audit}, b.wide)
			}
		}
		for _, n := range []uint32{0xf0000, 0xf0001, 0xf0005, 0xf0010, 0x3fffffff, 0x40000000, 0x7fffffff, 0xfffffffe, 0xffffffff} {
			number(data{number: n, arch: b.audit}, b.wide)
		}
	}
	for _, arch := range []uint32{0, 1, unix.AUDIT_ARCH_X86_64 ^ 1, unix.AUDIT_ARCH_SPARC64} {
		ask(&data{number: 1, arch: arch})
	}
	return code
}

// checkPass makes init's calls, and then with each bit of the secret wrong: that must be
// like any other wrong bits.
func checkPass(t *testing.T, code []unix.SockFilter, m *machine, words [len(passArgs)]uint64) {
	t.Helper()
	b := m.abis[0]
	for _, name := range passes() {
		n, ok := b.number(lookup(name, -1))
		if !ok {
			continue
		}
		d := data{number: n, arch: b.audit}
		copy(d.args[passArgs[0]:], words[:])
		if got, _ := run(code, d.bytes(m.big), m.big); got != unix.SECCOMP_RET_ALLOW {
			t.Fatalf("init's %s returns %#x", name, got)
		}
	}
}

// With a listener only who knows the whole secret gets past the profile.
func TestPass(t *testing.T) {
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActKillProcess, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"mkdir", "read"}, Action: specs.ActNotify},
		{Names: []string{"close"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 0, Value: 7, Op: specs.OpEqualTo}}},
	}}
	for _, arch := range natives {
		m := machineNamed(t, arch)
		b := m.abis[0]
		if !b.wide {
			continue // a secret of 192 bits needs registers of 64
		}
		f, err := compile(p, m, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.secrets)%passWords != 0 || len(f.secrets) == 0 {
			t.Fatalf("%s: %d places for the secret", arch, len(f.secrets))
		}
		secret := []byte("an arrow in a dark forest")[:4*passWords]
		code, words := seal(f.code, f.secrets, secret)
		checkPass(t, code, m, words)
		for bit := range 64 * len(words) {
			for _, name := range passes() {
				n, _ := b.number(lookup(name, -1))
				d := data{number: n, arch: b.audit}
				copy(d.args[passArgs[0]:], words[:])
				d.args[int(passArgs[0])+bit/64] ^= 1 << (bit % 64)
				got, _ := run(code, d.bytes(m.big), m.big)
				if want := newModel(p, m).decide(&d); got != want {
					t.Fatalf("%s: %s with bit %d wrong returns %#x, want %#x", arch, name, bit, got, want)
				}
			}
		}
	}
	// Where the profile allows the calls anyway, nothing is added.
	p = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}}
	if f, err := compile(p, machineFor(t, "amd64"), true); err != nil || len(f.secrets) != 0 {
		t.Errorf("%d places for the secret, %v", len(f.secrets), err)
	}
}

// checkExplain asks Explain the same. With all arguments it must know; with some the truth
// must be among its cases.
func checkExplain(t *testing.T, p *specs.LinuxSeccomp, m *machine, d *data, want uint32, known int) {
	t.Helper()
	i := slices.IndexFunc(m.abis, func(b abi) bool {
		return b.audit == d.arch && (b.base != x32Bit || d.number >= x32Bit)
	})
	if i < 0 {
		return
	}
	for _, n := range []int{6, known} {
		a, err := explainOn(p, m, &m.abis[i], Question{Call: utoa(uint64(d.number)), Args: d.args[:n]})
		if err != nil {
			t.Fatal(err)
		}
		ok := slices.ContainsFunc(a.Cases, func(c Case) bool { return c.Ret == want })
		last := a.Cases[len(a.Cases)-1]
		if !ok || n == 6 && len(a.Cases) != 1 || last.When != "" {
			text, _ := json.Marshal(p)
			t.Fatalf("%+v: explained with %d arguments as %+v, want %#x\n%s", *d, n, a, want, text)
		}
	}
}

// numbersOf are those of all calls or, if there is to be only one try for each, those that
// the profile speaks of, and their neighbours.
func numbersOf(p *specs.LinuxSeccomp, m *machine, b *abi, tries int) (list []uint32) {
	if tries > 1 {
		for n := range uint32(600) {
			list = append(list, b.base+n)
		}
		return list
	}
	names := []string{"socketcall", "ipc", "sendmsg", "read", "close"}
	for i := range p.Syscalls {
		names = append(names, p.Syscalls[i].Names...)
	}
	for _, name := range names {
		if i := lookup(name, -1); i >= 0 {
			if n, ok := b.number(i); ok {
				list = append(list, n-1, n, n, n, n+1)
			}
		}
	}
	return list
}
