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
	rules    []rule
	nodes    []node // lists of rules
	classes  []class
	scratch  []int32

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
}

// Classes that every policy has, before those of its rules.
const (
	classFallback = iota
	classBadArch
	classNoSuchCall
)

func newPolicy(p *specs.LinuxSeccomp) (*policy, error) {
	fallback, err := action(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	y := &policy{fallback: fallback, rules: make([]rule, 0, len(p.Syscalls)+8)}
	y.classes = append(make([]class, 0, 16),
		class{ret: fallback},
		class{ret: unix.SECCOMP_RET_KILL_THREAD},
		class{ret: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	count := 0
	for i := range p.Syscalls {
		count += len(p.Syscalls[i].Names)
	}
	y.nodes = make([]node, 1, count+count/4+1)
	// Backwards, because a list grows at its front.
	for i := len(p.Syscalls) - 1; i >= 0; i-- {
		if err := y.add(&p.Syscalls[i]); err != nil {
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
func (y *policy) add(s *specs.LinuxSyscall) error {
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
	at := -1
	for _, name := range s.Names {
		i := lookup(name, at)
		if i < 0 {
			continue
		}
		at = i
		y.named[i] = true
		for r := last - 1; r >= first; r-- {
			y.attach(i, r)
		}
		if via := multiplexed[i]; via != 0 && last > first {
			y.addVia(via, ret, len(s.Args) > 0)
		}
	}
	return nil
}

// addVia makes the rules of a call hold for the call that it can also be reached by. What
// its arguments are cannot be seen there.
func (y *policy) addVia(via uint8, ret uint32, conditional bool) {
	if conditional && severity(ret) > severity(y.fallback) {
		return
	}
	y.rules = append(y.rules, rule{ret: ret, via: via})
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
	// What comes after a rule without conditions is never asked, and what stands directly
	// before it and does the same is not needed.
	if i := slices.IndexFunc(rules, func(r int32) bool { return y.rules[r].always() }); i >= 0 {
		last := rules[i]
		ret = y.rules[last].ret
		rules = rules[:i]
		for len(rules) > 0 && y.rules[rules[len(rules)-1]].ret == ret {
			rules = rules[:len(rules)-1]
		}
		rules = append(rules, last)
	}
	for i := range y.classes {
		if c := &y.classes[i]; c.ret == ret && slices.EqualFunc(c.rules, rules, y.same) {
			return uint16(i)
		}
	}
	y.classes = append(y.classes, class{rules: slices.Clone(rules), ret: ret})
	return uint16(len(y.classes) - 1)
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
	switch y.fallback & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE:
		return false
	}
	return y.fallback != y.classes[classNoSuchCall].ret
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
