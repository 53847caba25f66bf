package seccomp

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A rule is an action, as the kernel numbers it, and when it is taken.
type rule struct {
	ret   uint32
	conds []specs.LinuxSeccompArg // all of them
	via   uint8                   // for socketcall and ipc: which of their calls; otherwise 0
}

func (r *rule) always() bool { return len(r.conds) == 0 && r.via == 0 }

// severity orders actions: the smaller, the stricter.
func severity(ret uint32) int32 { return int32(ret & unix.SECCOMP_RET_ACTION_FULL) }

// action returns an action with its data as a filter returns it (seccomp(2)).
func action(a specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	data := uint32(unix.EPERM)
	if errno != nil {
		data = uint32(*errno) & unix.SECCOMP_RET_DATA
	}
	switch a {
	case specs.ActKill, specs.ActKillThread:
		return unix.SECCOMP_RET_KILL_THREAD, nil
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP, nil
	case specs.ActErrno:
		return unix.SECCOMP_RET_ERRNO | data, nil
	case specs.ActTrace:
		return unix.SECCOMP_RET_TRACE | data, nil
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, nil
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActNotify:
		return unix.SECCOMP_RET_USER_NOTIF, nil
	}
	return 0, fmt.Errorf("string %s is not a valid action for seccomp", a)
}

// A policy is a profile with its names looked up: what it says about each name, before it
// matters which number the name has where.
type policy struct {
	fallback uint32
	listener bool // somebody is told of calls
	rules    []rule
	nodes    []node // lists of rules
	classes  []class
	scratch  []int32
	idle     []int // entries that forbid calls of which none is known here

	heads [nameCount]int32  // first node of the name, from 1
	named [nameCount]bool   // the profile speaks of it, whatever it says
	class [nameCount]uint16 // what is done
}

type node struct{ rule, next int32 }

// A class is what is done about a call: some calls share it. The rules are those that
// count, the strictest first; only the last can be without conditions.
type class struct {
	rules []int32
	ret   uint32 // if none fits

	// pass lets init's own call through, which nobody else can make, before it does what
	// another class says.
	pass bool
	of   uint16
}

// Classes that every policy has, before those of its rules.
const (
	classFallback = iota
	classBadArch
	classNoSuchCall
)

func newPolicy(p *specs.LinuxSeccomp, m *machine) (*policy, error) {
	fallback, err := action(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	y := &policy{fallback: fallback, rules: make([]rule, 0, len(p.Syscalls)+8)}
	y.classes = append(make([]class, 0, 16),
		class{ret: fallback},
		class{ret: unix.SECCOMP_RET_KILL_THREAD},
		class{ret: unix.SECCOMP_RET_ERRNO | m.noSuchCall()})
	count := 0
	for i := range p.Syscalls {
		count += len(p.Syscalls[i].Names)
	}
	y.nodes = make([]node, 1, count+count/4+1)
	// Backwards, because a list grows at its front.
	for i := len(p.Syscalls) - 1; i >= 0; i-- {
		if err := y.add(i, &p.Syscalls[i]); err != nil {
			return nil, err
		}
	}
	for i, head := range y.heads {
		if head != 0 {
			y.class[i] = y.classify(y.list(head))
		}
	}
	return y, nil
}

// add takes one entry of the profile, which may have many names and become many rules.
func (y *policy) add(number int, s *specs.LinuxSyscall) error {
	ret, err := action(s.Action, s.ErrnoRet)
	if err != nil {
		return err
	}
	for i := range s.Args {
		if err := checkArg(&s.Args[i]); err != nil {
			return err
		}
	}
	first := int32(len(y.rules))
	switch {
	case ret == y.fallback:
	case twice(s.Args):
		for i := range s.Args {
			y.rules = append(y.rules, rule{ret: ret, conds: s.Args[i : i+1]})
		}
	default:
		y.rules = append(y.rules, rule{ret: ret, conds: s.Args})
	}
	last := int32(len(y.rules))
	at, known := -1, len(s.Names) == 0
	for _, name := range s.Names {
		i := lookup(name, at)
		if i < 0 {
			continue
		}
		at, known = i, true
		y.named[i] = true
		for r := last - 1; r >= first; r-- {
			y.attach(i, r)
		}
		if via := multiplexed[i]; via != 0 && last > first && (len(s.Args) == 0 || y.forbids(ret)) {
			for r := first; r < last; r++ {
				y.addVia(via, r)
			}
		}
	}
	if !known && last > first && y.forbids(ret) {
		y.idle = append(y.idle, number)
	}
	return nil
}

// forbids reports whether an action is at least as strict as the default.
func (y *policy) forbids(ret uint32) bool { return severity(ret) <= severity(y.fallback) }

// addVia makes a rule of a call hold for the call that it can also be reached by. Its first
// argument is there which of the calls is meant, and the others cannot be seen.
func (y *policy) addVia(via uint8, of int32) {
	r := rule{ret: y.rules[of].ret, via: via}
	for _, c := range y.rules[of].conds {
		if c.Index != 0 {
			r.conds = append(r.conds, c)
		}
	}
	y.rules = append(y.rules, r)
	to := nameSocketcall
	if via&viaIPC != 0 {
		to = nameIpc
	}
	y.attach(to, int32(len(y.rules)-1))
}

func (y *policy) attach(name int, r int32) {
	y.nodes = append(y.nodes, node{rule: r, next: y.heads[name]})
	y.heads[name] = int32(len(y.nodes) - 1)
}

func (y *policy) list(head int32) []int32 {
	y.scratch = y.scratch[:0]
	for n := head; n != 0; n = y.nodes[n].next {
		y.scratch = append(y.scratch, y.nodes[n].rule)
	}
	return y.scratch
}

// classify finds the class of the calls to which these rules apply, or makes it. It
// changes the list.
func (y *policy) classify(rules []int32) uint16 {
	ret := y.fallback
	if len(rules) > 1 {
		slices.SortFunc(rules, func(a, b int32) int {
			return cmp.Or(
				cmp.Compare(severity(y.rules[a].ret), severity(y.rules[b].ret)),
				cmp.Compare(b, a), // what was added last stands first in the profile
			)
		})
	}
	if last := y.first(rules); last >= 0 {
		ret = y.rules[last].ret
		rules = y.before(rules, last)
	}
	for i := range y.classes {
		if c := &y.classes[i]; !c.pass && c.ret == ret && slices.EqualFunc(c.rules, rules, y.same) {
			return uint16(i)
		}
	}
	y.classes = append(y.classes, class{rules: slices.Clone(rules), ret: ret})
	return uint16(len(y.classes) - 1)
}

// first is the rule without conditions that counts: the first in the profile. It is -1 if
// there is none.
func (y *policy) first(rules []int32) int32 {
	first := int32(-1)
	for _, r := range rules {
		if y.rules[r].always() {
			first = max(first, r) // what was added last stands first
		}
	}
	return first
}

// before keeps of sorted rules those that count beside one without conditions, and that
// one. What comes after it is never asked, and what stands directly before it and does the
// same is not needed. What is compared with arguments of another call does not count
// against a rule that is sure.
func (y *policy) before(rules []int32, last int32) []int32 {
	rules = slices.DeleteFunc(rules[:slices.Index(rules, last)], func(r int32) bool {
		return y.rules[r].always() || y.rules[r].via != 0 && len(y.rules[r].conds) > 0
	})
	for len(rules) > 0 && y.rules[rules[len(rules)-1]].ret == y.rules[last].ret {
		rules = rules[:len(rules)-1]
	}
	return append(rules, last)
}

// same reports whether two rules do the same, as far as that is known cheaply.
func (y *policy) same(a, b int32) bool {
	return a == b || y.rules[a].always() && y.rules[b].always() && y.rules[a].ret == y.rules[b].ret
}

// both is the class of a number that has two names.
func (y *policy) both(a, b uint16) uint16 {
	rules := slices.Clone(y.list(y.heads[a]))
	return y.classify(append(rules, y.list(y.heads[b])...))
}

// stub reports whether calls that the profile cannot have known shall not exist.
func (y *policy) stub() bool {
	return strict(y.fallback) && y.fallback != y.classes[classNoSuchCall].ret
}

// twice reports whether two conditions look at the same argument.
func twice(args []specs.LinuxSeccompArg) bool {
	var seen uint
	for i := range args {
		if seen&(1<<args[i].Index) != 0 {
			return true
		}
		seen |= 1 << args[i].Index
	}
	return false
}

func checkArg(a *specs.LinuxSeccompArg) error {
	if a.Index > 5 {
		return fmt.Errorf("linux.seccomp: argument index %d is out of range (0 to 5)", a.Index)
	}
	switch a.Op {
	case specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual,
		specs.OpGreaterThan, specs.OpMaskedEqual:
		return nil
	}
	return fmt.Errorf("string %s is not a valid operator for seccomp", a.Op)
}
