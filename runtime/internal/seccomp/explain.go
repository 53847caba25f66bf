package seccomp

import (
	"cmp"
	"fmt"
	goruntime "runtime"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A Question is a system call that is or could be made.
type Question struct {
	Arch specs.Arch // by which it is made; empty: that of this machine
	Call string     // its name, or its number
	Args []uint64   // those that are known, from the first
}

// An Answer says what a profile makes of it: one case, or more if it depends on arguments
// that are not known. The first case that fits counts; the last one fits always.
type Answer struct {
	Arch   specs.Arch
	Number uint32
	Names  []string // by which the architecture knows the number
	Cases  []Case
}

// A Case is what is done, and why.
type Case struct {
	When    string // what must be true of the arguments; empty: nothing
	Action  string // "SCMP_ACT_ERRNO (EPERM)"
	Pointer string // JSON pointer of the property that decides
	Why     string // why it does, if that is no rule
	Ret     uint32 // what the filter returns
}

// Explain answers a question about a profile. It reads the profile anew for each call; the
// compiler has no part in it, so that each can be checked by the other.
func Explain(p *specs.LinuxSeccomp, q Question) (Answer, error) {
	m, b, err := placeOf(q.Arch)
	if err != nil {
		return Answer{}, err
	}
	return explainOn(p, m, b, q)
}

func explainOn(p *specs.LinuxSeccomp, m *machine, b *abi, q Question) (Answer, error) {
	e := explainer{profile: p, machine: m, abi: b, args: q.Args}
	var err error
	if e.fallback, err = action(p.DefaultAction, p.DefaultErrnoRet); err != nil {
		return Answer{}, err
	}
	if err := e.find(q.Call); err != nil {
		return Answer{}, err
	}
	out := Answer{Arch: e.abi.name, Number: e.number, Names: e.names}
	out.Cases, err = e.cases()
	return out, err
}

// placeOf finds the machine and the way of calling that an architecture stands for: this
// machine's if it can run it, or else the one to which it is native.
func placeOf(a specs.Arch) (*machine, *abi, error) {
	here := native(goruntime.GOARCH)
	if a == "" {
		a = here
	}
	if m, ok := machineOf(here); ok {
		if b := m.abi(a); b != nil {
			return &m, b, nil
		}
	}
	if m, ok := machineOf(a); ok {
		return &m, m.abi(a), nil
	}
	return nil, nil, fmt.Errorf("%q is not a known architecture", a)
}

// An explainer is an Explain under way.
type explainer struct {
	profile  *specs.LinuxSeccomp
	machine  *machine
	abi      *abi
	fallback uint32
	number   uint32
	names    []string
	args     []uint64
	unknown  uint8 // bits of args that are not known either
}

// find sets the number and the names of a call.
func (e *explainer) find(call string) error {
	n, err := strconv.ParseUint(call, 0, 32)
	if err != nil {
		i := lookup(call, -1)
		if i < 0 {
			return fmt.Errorf("%q is not a known system call", call)
		}
		number, ok := e.abi.number(i)
		if !ok {
			return fmt.Errorf("%s has no system call %s", e.abi.name, call)
		}
		n = uint64(number)
	}
	e.number = uint32(n)
	if x := e.machine.x32(); x != nil && e.abi.audit == x.audit {
		e.abi = &e.machine.abis[0]
		if e.number >= x32Bit {
			e.abi = x
		}
	}
	e.names = e.abi.namesOf(e.number)
	return nil
}

// number is the number of a name of the tables.
func (b *abi) number(name int) (uint32, bool) {
	switch n := uint32(numbers[b.column][name]); {
	case n == absent:
		return 0, false
	case n >= privateStored:
		return n - privateStored + privateBase, true
	default:
		return n + b.base, true
	}
}

func (b *abi) namesOf(number uint32) (names []string) {
	for i := range nameCount {
		if n, ok := b.number(i); ok && n == number {
			names = append(names, nameAt(i))
		}
	}
	return names
}

// A candidate is an entry of the profile that speaks of the call.
type candidate struct {
	index int
	ret   uint32
	any   bool // one of the conditions is enough
	via   int  // the number in socketcall or ipc plus viaIPC; 0: the call itself
	name  string
}

// cases lists what can happen, the strictest first, as long as it is not sure.
func (e *explainer) cases() ([]Case, error) {
	p := e.profile
	if b := e.abi; b != &e.machine.abis[0] && !slices.Contains(p.Architectures, b.name) {
		if b.base == x32Bit && e.number == 1<<32-1 {
			return []Case{e.last(e.fallback, "/linux/seccomp/defaultAction", "the number stands for no call")}, nil
		}
		return []Case{e.last(unix.SECCOMP_RET_KILL_THREAD, "/linux/seccomp/architectures", "the profile does not name "+string(b.name))}, nil
	}
	list, err := e.candidates()
	if err != nil {
		return nil, err
	}
	var out []Case
	for _, c := range list {
		when, truth := e.test(&c)
		if truth == no {
			continue
		}
		out = append(out, Case{When: when, Action: describe(c.ret, e.machine), Ret: c.ret, Pointer: "/linux/seccomp/syscalls/" + strconv.Itoa(c.index)})
		if truth == yes {
			return shorter(out), nil
		}
	}
	return append(out, e.otherwise()), nil
}

// shorter leaves out conditions that make no difference: those before a last case that does
// the same.
func shorter(cases []Case) []Case {
	last := len(cases) - 1
	for len(cases) > 1 && cases[len(cases)-2].Ret == cases[last].Ret {
		cases = slices.Delete(cases, len(cases)-2, len(cases)-1)
		last--
	}
	return cases
}

func (e *explainer) last(ret uint32, pointer, why string) Case {
	return Case{Action: describe(ret, e.machine), Ret: ret, Pointer: pointer, Why: why}
}

// otherwise is what happens to a call that no rule fits.
func (e *explainer) otherwise() Case {
	none := "no rule names the call"
	if len(e.names) > 0 {
		none = "no rule that fits does anything else"
	}
	c := e.last(e.fallback, "/linux/seccomp/defaultAction", none)
	enosys := unix.SECCOMP_RET_ERRNO | e.machine.noSuchCall()
	if e.fallback == enosys || !strict(e.fallback) {
		return c
	}
	newest, found := e.newest()
	private := e.abi.column == columnARM && e.number >= privateBase && e.number < privateBase+16
	switch {
	case !found || private || e.number < e.abi.base:
	case e.number > newest:
		why := "the call is newer than every call that the profile names"
		return e.last(enosys, "/linux/seccomp/syscalls", why)
	case e.number == 0 && e.abi.zero:
		return e.last(enosys, "/linux/seccomp/syscalls", "the kernel gives this number to calls that it does not know")
	}
	return c
}

// newest is the largest number of a call of which the profile speaks.
func (e *explainer) newest() (number uint32, found bool) {
	see := func(name int) {
		n, ok := e.abi.number(name)
		if ok && (n < privateBase || e.abi.base != 0) {
			number, found = max(number, n), true
		}
	}
	for i := range e.profile.Syscalls {
		s := &e.profile.Syscalls[i]
		for _, name := range s.Names {
			n := lookup(name, -1)
			if n < 0 {
				continue
			}
			see(n)
			if ret, err := action(s.Action, s.ErrnoRet); err == nil && multiplexed[n] != 0 && e.reaches(s, ret) {
				see(nameOfVia(multiplexed[n]))
			}
		}
	}
	return number, found
}

// reaches reports whether an entry holds for socketcall and ipc, too.
func (e *explainer) reaches(s *specs.LinuxSyscall, ret uint32) bool {
	return ret != e.fallback && (len(s.Args) == 0 || severity(ret) <= severity(e.fallback))
}

func nameOfVia(via uint8) int {
	if via&viaIPC != 0 {
		return nameIpc
	}
	return nameSocketcall
}

func (e *explainer) candidates() ([]candidate, error) {
	var list []candidate
	for i := range e.profile.Syscalls {
		s := &e.profile.Syscalls[i]
		ret, err := action(s.Action, s.ErrnoRet)
		if err != nil {
			return nil, err
		}
		for j := range s.Args {
			if err := checkArg(&s.Args[j]); err != nil {
				return nil, err
			}
		}
		if ret == e.fallback {
			continue
		}
		c := candidate{index: i, ret: ret, any: twice(s.Args)}
		direct := false
		for _, name := range s.Names {
			if slices.Contains(e.names, name) && !direct {
				direct = true
				list = append(list, c)
			}
			n := lookup(name, -1)
			if n >= 0 && multiplexed[n] != 0 && e.reaches(s, ret) && slices.Contains(e.names, nameAt(nameOfVia(multiplexed[n]))) {
				c := c
				c.via, c.name = int(multiplexed[n]), name
				list = append(list, c)
			}
		}
	}
	list = e.settle(list)
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(severity(a.ret), severity(b.ret)) })
	return list, nil
}

// settle leaves out what does not count beside a rule without conditions: other such rules
// that stand after it, and what would be compared with arguments of another call.
func (e *explainer) settle(list []candidate) []candidate {
	always := func(c candidate) bool { return c.via == 0 && len(e.profile.Syscalls[c.index].Args) == 0 }
	first := slices.IndexFunc(list, always)
	if first < 0 {
		return list
	}
	keep := list[first]
	return slices.DeleteFunc(list, func(c candidate) bool {
		return always(c) && c != keep || c.via != 0 && e.guesses(c)
	})
}

// guesses reports whether an entry compares what is in the registers of socketcall or ipc.
func (e *explainer) guesses(c candidate) bool {
	other := func(a specs.LinuxSeccompArg) bool { return a.Index != 0 }
	args := e.profile.Syscalls[c.index].Args
	if c.any {
		return !slices.ContainsFunc(args, func(a specs.LinuxSeccompArg) bool { return a.Index == 0 })
	}
	return slices.ContainsFunc(args, other)
}
