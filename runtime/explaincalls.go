package runtime

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/seccomp"
	"github.com/ocirt/ocirt/spec"
)

// ExplainCalls returns the system calls of the container's first process, from its birth to
// execve, under the steps that they are for: what init is, in full. It needs no privileges
// and starts nothing. Descriptors are numbered as if every call succeeded; -1 stands for
// one that comes by a message.
func (rt *Runtime) ExplainCalls(id string, b *spec.Bundle) ([]byte, error) {
	in, p, err := rt.planOf(id, b)
	if err != nil {
		return nil, err
	}
	if in.Process == nil {
		return nil, nil
	}
	program, err := launch.Rehearse(in, p)
	if err != nil {
		return nil, err
	}
	walk, err := program.Interpret(&rehearsal{next: in.KeepFDs() + len(program.Files())})
	if err != nil {
		return nil, fmt.Errorf("cannot interpret init's program: %w", err)
	}
	done := map[int]entry.Done{}
	for _, d := range walk.Done {
		if _, again := done[d.Index]; !again {
			done[d.Index] = d
		}
	}
	var out strings.Builder
	calls, last := program.Calls(), -2
	for i := 0; i < len(calls); i++ {
		if calls[i].Step != last {
			last = calls[i].Step
			writeStep(&out, p, last)
		}
		writeCall(&out, calls[i], done)
		if more := alike(calls[i:]); more > 2 {
			fmt.Fprintf(&out, "            … %d more like it\n", more)
			i += more
		}
	}
	return []byte(out.String()), nil
}

// alike is how many calls that follow the first are the same but for their arguments.
func alike(calls []entry.Description) int {
	n := 1
	for n < len(calls) && calls[n].Trap == calls[0].Trap && calls[n].Step == calls[0].Step && calls[n].Label == calls[0].Label {
		n++
	}
	return n - 1
}

func writeStep(out *strings.Builder, p *plan.Plan, number int) {
	e, ok := p.Step(number)
	if !ok {
		out.WriteString("      between steps\n")
		return
	}
	fmt.Fprintf(out, "%4d  %s  %s\n", number, e.Step.String(), e.From)
}

func writeCall(out *strings.Builder, d entry.Description, done map[int]entry.Done) {
	name := seccomp.CallName(uint32(d.Trap))
	text := name + "(…)"
	if w, ok := done[d.Index]; ok {
		text = name + "(" + arguments(w) + ")"
		if opens(w.Trap) && w.Result > 0 {
			text += " = " + strconv.FormatInt(w.Result, 10)
		}
	}
	fmt.Fprintf(out, "%10d  %s", d.Index, text)
	if d.Label != "" {
		out.WriteString("  # " + d.Label)
	}
	switch {
	case d.MayAny:
		out.WriteString("; may fail")
	case len(d.May) > 0:
		var names []string
		for _, e := range d.May {
			names = append(names, unix.ErrnoName(e))
		}
		out.WriteString("; may be " + strings.Join(names, ", "))
	}
	out.WriteByte('\n')
}

// arguments are those of a call, as far as they can be read: text in quotes, other data as
// dots. What the call ignores comes last, is zero, and is left out.
func arguments(d entry.Done) string {
	n := len(d.Args)
	for n > 1 && d.Args[n-1] == 0 {
		n--
	}
	var list []string
	for _, a := range d.Args[:n] {
		list = append(list, argument(d, a))
	}
	return strings.Join(list, ", ")
}

func argument(d entry.Done, a uintptr) string {
	if _, err := d.Memory.Bytes(entry.Addr(a), 1); err != nil {
		if v := int32(a); v < 0 && v > -4096 {
			return strconv.Itoa(int(v)) // AT_FDCWD is one
		}
		if a > 4096 {
			return "0x" + strconv.FormatUint(uint64(a), 16)
		}
		return strconv.FormatUint(uint64(a), 10)
	}
	text, err := d.Memory.Text(entry.Addr(a))
	if err != nil || text == "" || len(text) > 100 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' || r == unicode.ReplacementChar }) {
		return "…"
	}
	return strconv.Quote(text)
}

// A rehearsal is a kernel in whose world everything succeeds.
type rehearsal struct{ next int }

// Syscall answers with the next free descriptor where a call makes one, with the length
// where it transfers something, and as in the child where it forks.
func (r *rehearsal) Syscall(c entry.Syscall) (int64, error) {
	switch {
	case opens(c.Trap):
		r.next++
		return int64(r.next - 1), nil
	case c.Trap == unix.SYS_READ || c.Trap == unix.SYS_RECVFROM || c.Trap == unix.SYS_RECVMSG || c.Trap == unix.SYS_GETPID:
		return 1, nil
	}
	return 0, nil
}

// opens tells the calls whose result is a descriptor.
func opens(trap uintptr) bool {
	switch trap {
	case unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_OPEN_TREE, unix.SYS_ACCEPT4,
		unix.SYS_SOCKET, unix.SYS_DUP, unix.SYS_PIDFD_OPEN, unix.SYS_MEMFD_CREATE, unix.SYS_SECCOMP:
		return true
	}
	return false
}

var _ entry.Kernel = (*rehearsal)(nil)
