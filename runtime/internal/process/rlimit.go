package process

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// limitNames are the resources by number; the numbers are those of all architectures but
// alpha, mips and sparc (include/uapi/asm-generic/resource.h).
var limitNames = [...]string{
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS",
	"RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS",
	"RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
}

const unlimited = 1<<64 - 1

// A Limit is one resource limit.
type Limit struct {
	Resource   int
	Soft, Hard uint64
}

// RaiseLimits makes room for hard limits that are above the caller's. It is done before
// init enters a user namespace, where it would lack the privilege; if it is refused, so
// will be the limits, but only if they are really above the caller's.
type RaiseLimits struct{ Limits []Limit }

// SetLimits sets resource limits.
type SetLimits struct{ Limits []Limit }

// LimitsRoom compiles process.rlimits into the step that must stand where init is still in
// ocirt's namespaces.
func LimitsRoom(in *step.Input, emit step.Emit) error {
	l, err := limitsOf(in)
	if err == nil && len(l) > 0 {
		emit("/process/rlimits", RaiseLimits{l})
	}
	return err
}

// Rlimits compiles process.rlimits into the step that sets them. It stands late, or a
// small limit would starve what init has still to do.
func Rlimits(in *step.Input, emit step.Emit) error {
	l, err := limitsOf(in)
	if err == nil && len(l) > 0 {
		emit("/process/rlimits", SetLimits{l})
	}
	return err
}

func limitsOf(in *step.Input) ([]Limit, error) {
	if in.Process == nil {
		return nil, nil
	}
	var list []Limit
	for _, r := range in.Process.Rlimits {
		l, err := limitOf(r)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

func limitOf(r specs.POSIXRlimit) (Limit, error) {
	n := slices.Index(limitNames[:], r.Type)
	if n < 0 {
		return Limit{}, fmt.Errorf("wrong rlimit value: %s", r.Type)
	}
	return Limit{n, r.Soft, r.Hard}, nil
}

func (s RaiseLimits) String() string {
	return "make room for " + count(len(s.Limits), "resource limit")
}

// Lower writes the calls. They raise as far as possible, because only lowering needs no
// privilege, and because nothing may hinder init until it is done.
func (s RaiseLimits) Lower(i *step.Init) error {
	for _, l := range s.Limits {
		r := Limit{l.Resource, unlimited, unlimited}
		switch l.Resource {
		case unix.RLIMIT_NOFILE: // bounded by the sysctl fs.nr_open
			r.Hard = max(l.Hard, 1<<16)
			r.Soft = r.Hard
		case unix.RLIMIT_CORE: // nobody wants init's
			r.Soft = 0
		}
		prlimit(i, r).May(unix.EPERM)
	}
	return nil
}

func (s SetLimits) String() string {
	var b strings.Builder
	b.WriteString("limit ")
	for i, l := range s.Limits {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strings.ToLower(limitNames[l.Resource][len("RLIMIT_"):]))
		b.WriteString(" to ")
		b.WriteString(amount(l.Soft))
		if l.Hard != l.Soft {
			b.WriteString("–")
			b.WriteString(amount(l.Hard))
		}
	}
	return b.String()
}

// Lower writes the calls.
func (s SetLimits) Lower(i *step.Init) error {
	for _, l := range s.Limits {
		prlimit(i, l)
	}
	return nil
}

// Explain adds to the errno of a call of Lower.
func (s SetLimits) Explain(errno syscall.Errno) string {
	switch errno {
	case unix.EPERM:
		return "a hard limit is above that of the caller, or the number of files above the sysctl fs.nr_open"
	case unix.EINVAL:
		return "a soft limit is above its hard limit"
	}
	return ""
}

func prlimit(i *step.Init, l Limit) *entry.Call {
	return i.Call(unix.SYS_PRLIMIT64, 0, l.Resource, i.Words(l.Soft, l.Hard), 0).
		Labelf("set %s to %s:%s", limitNames[l.Resource], amount(l.Soft), amount(l.Hard))
}

func amount(n uint64) string {
	if n == unlimited {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}
