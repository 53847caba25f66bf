package cgroup

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// An access is an attempt to open or make a device.
type access struct {
	kind         byte // 'b' or 'c'
	major, minor int64
	bits         int32 // of bpfRead, bpfWrite, bpfMknod
}

// last is the answer of the plain meaning of rules: for each kind of access the last rule
// that speaks of it counts.
func last(rules []deviceRule, a access) bool {
	for _, bit := range []int32{bpfMknod, bpfRead, bpfWrite} {
		if a.bits&bit == 0 {
			continue
		}
		allowed := false
		for _, r := range rules {
			if r.kind == 'a' || r.kind == a.kind && overlap(r.major, a.major) && overlap(r.minor, a.minor) && accessBits(r.access)&bit != 0 {
				allowed = r.allow
			}
		}
		if !allowed {
			return false
		}
	}
	return true
}

// runFilter is the kernel's machine, as far as filters use it.
func runFilter(t *testing.T, p []instruction, a access) bool {
	t.Helper()
	kind := int32(bpfChar)
	if a.kind == 'b' {
		kind = bpfBlock
	}
	context := map[int16]int64{offAccess: int64(a.bits<<16 | kind), offMajor: a.major, offMinor: a.minor}
	var reg [10]int64
	for at := 0; at < len(p); at++ {
		i := p[at]
		switch i.code {
		case ldxWord:
			reg[i.dst] = context[i.off]
		case aluMovX:
			reg[i.dst] = reg[i.src]
		case aluMov:
			reg[i.dst] = int64(i.imm)
		case aluAnd:
			reg[i.dst] &= int64(i.imm)
		case aluShr:
			reg[i.dst] = int64(uint64(reg[i.dst]) >> i.imm)
		case jumpNot:
			if reg[i.dst] != int64(i.imm) {
				at += int(i.off)
			}
		case jumpSet:
			if reg[i.dst]&int64(i.imm) != 0 {
				at += int(i.off)
			}
		case unix.BPF_JMP | unix.BPF_JA:
			at += int(i.off)
		case exit:
			return reg[regResult] != 0
		default:
			t.Fatalf("unknown instruction %+v", i)
		}
	}
	t.Fatal("the filter has no end")
	return false
}

// allows is the answer of a list of v1 (security/device_cgroup.c): while all is forbidden one
// exception must hold everything that is wanted, while all is allowed none may touch it.
func (l deviceList) allows(a access) bool {
	for n, bits := range l.except {
		if n.kind != a.kind || !overlap(n.major, a.major) || !overlap(n.minor, a.minor) {
			continue
		}
		if l.allow && bits&a.bits != 0 {
			return false
		}
		if !l.allow && a.bits&^bits == 0 {
			return true
		}
	}
	return l.allow
}

func randomRules(r *rand.Rand) []deviceRule {
	number := func() int64 { return []int64{wildcard, 1, 2, 3}[r.IntN(4)] }
	list := []deviceRule{{false, 'a', wildcard, wildcard, "rwm"}}
	for range r.IntN(8) {
		rule := deviceRule{r.IntN(2) == 0, "abcbc"[r.IntN(5)], number(), number(), accessText(int32(1 + r.IntN(7)))}
		if rule.kind == 'a' {
			rule.major, rule.minor, rule.access = wildcard, wildcard, "rwm"
		}
		list = append(list, rule)
	}
	// As at the end of every list: any node may be made.
	return append(list, deviceRule{true, 'c', wildcard, wildcard, "m"}, deviceRule{true, 'b', wildcard, wildcard, "m"})
}

// accesses are all that rules of randomRules can tell apart.
func accesses(kinds ...int32) (list []access) {
	for _, kind := range []byte{'b', 'c'} {
		for major := int64(1); major <= 4; major++ {
			for minor := int64(1); minor <= 4; minor++ {
				for _, bits := range kinds {
					list = append(list, access{kind, major, minor, bits})
				}
			}
		}
	}
	return list
}

// Whatever the rules: the filter answers as they are meant, and so does the list of v1, or
// the rules are refused. Of v1 it is known that a node which was once forbidden to be made
// stays forbidden.
func TestDeviceRulesAsTheyAreMeant(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 9))
	refused := 0
	for range 20000 {
		given := randomRules(r)
		rules := fold(given)
		p := filterProgram(rules)
		a := accesses(1, 2, 3, 4, 5, 6, 7)
		for range 40 {
			x := a[r.IntN(len(a))]
			if got, want := runFilter(t, p, x), last(given, x); got != want {
				t.Fatalf("%v: the filter says %v to %+v, not %v", given, got, x, want)
			}
		}
		made, err := inV1(rules)
		if err != nil {
			refused++
			continue
		}
		l := listOf(made)
		for _, x := range accesses(bpfRead, bpfWrite) {
			if got, want := l.allows(x), last(given, x); got != want {
				t.Fatalf("%v: the list of v1 says %v to %+v, not %v", given, got, x, want)
			}
		}
	}
	if refused == 0 || refused > 15000 {
		t.Errorf("%d of 20000 lists are refused for v1", refused)
	}
}

// A filter that the kernel does not take, because it is too long, is said to be that.
func TestTooManyDeviceRules(t *testing.T) {
	need.Root(t)
	g := create(t, pathsIn(t, "devices", v2Tree(t)))
	rules := []deviceRule{{false, 'a', wildcard, wildcard, "rwm"}}
	for i := range int64(300000) {
		rules = append(rules, deviceRule{true, 'c', 1 + i/4096, i % 4096, "rwm"})
	}
	_, err := filterDevices(g.Paths[""], rules)
	var limit *LimitError
	if !errors.As(err, &limit) || !strings.Contains(err.Error(), "too many device rules (300001)") {
		t.Errorf("error is %v", err)
	}
}

// The kernel writes back its answer, on some versions more than the caller has room for:
// Linux 6.17 to 7.1 write 8 bytes behind a short structure.
func TestAttributesHaveRoom(t *testing.T) {
	need.Root(t)
	g := create(t, pathsIn(t, "devices", v2Tree(t)))
	group, err := openGroup(g.Paths[""])
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(group)
	var memory struct {
		attr   attributes
		canary [256]byte
	}
	for i := range memory.canary {
		memory.canary[i] = 0xaa
	}
	memory.attr.set32(0, uint32(group))
	memory.attr.set32(4, unix.BPF_CGROUP_DEVICE)
	if _, err := memory.attr.call(unix.BPF_PROG_QUERY); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(memory.canary[:]), "\xaa"); got != len(memory.canary) {
		t.Errorf("%d bytes behind the attributes were written", len(memory.canary)-got)
	}
	const most = 168 // of any kernel so far (union bpf_attr)
	if n := len(memory.attr); n < most {
		t.Error(fmt.Sprint("attributes have ", n, " bytes, the kernel's ", most))
	}
}
