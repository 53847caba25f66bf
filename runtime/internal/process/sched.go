package process

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// SetScheduler sets the scheduling policy of the process (sched_setattr(2)).
type SetScheduler struct {
	Policy   uint32
	Flags    uint64
	Nice     int32
	Priority uint32

	Runtime, Deadline, Period uint64 // ns

	// MayKeep allows the kernel to refuse: it is only the default that is set.
	MayKeep bool
}

// Policies and flags by the kernel's numbers (include/uapi/linux/sched.h); 4 is reserved
// for the one that no kernel has, SCHED_ISO.
var (
	policyNames = [...]specs.LinuxSchedulerPolicy{
		specs.SchedOther, specs.SchedFIFO, specs.SchedRR, specs.SchedBatch,
		specs.SchedISO, specs.SchedIdle, specs.SchedDeadline,
	}
	schedFlagNames = [...]specs.LinuxSchedulerFlag{
		specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun,
		specs.SchedFlagKeepPolicy, specs.SchedFlagKeepParams,
		specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax,
	}
)

// Scheduler compiles process.scheduler. Without it the process gets the kernel's default,
// not what ocirt's caller runs with.
func Scheduler(in *step.Input, emit step.Emit) error {
	if in.Process == nil {
		return nil
	}
	c := in.Process.Scheduler
	if c == nil {
		emit("ocirt", SetScheduler{MayKeep: true})
		return nil
	}
	policy := slices.Index(policyNames[:], c.Policy)
	if policy < 0 {
		return fmt.Errorf("cannot set scheduler: unknown policy %q", c.Policy)
	}
	s := SetScheduler{
		Policy: uint32(policy), Nice: c.Nice, Priority: uint32(c.Priority),
		Runtime: c.Runtime, Deadline: c.Deadline, Period: c.Period,
	}
	for _, f := range c.Flags {
		n := slices.Index(schedFlagNames[:], f)
		if n < 0 {
			return fmt.Errorf("cannot set scheduler: unknown flag %q", f)
		}
		s.Flags |= 1 << n
	}
	emit("/process/scheduler", s)
	return nil
}

func (s SetScheduler) String() string {
	var b strings.Builder
	b.WriteString("set scheduler to ")
	b.WriteString(string(policyNames[s.Policy]))
	if s.Nice != 0 {
		fmt.Fprintf(&b, ", nice %d", s.Nice)
	}
	if s.Priority != 0 {
		fmt.Fprintf(&b, ", priority %d", s.Priority)
	}
	if s.Runtime|s.Deadline|s.Period != 0 {
		fmt.Fprintf(&b, ", runtime %d, deadline %d, period %d ns", s.Runtime, s.Deadline, s.Period)
	}
	for n, name := range schedFlagNames {
		if s.Flags>>n&1 != 0 {
			b.WriteString(", ")
			b.WriteString(string(name))
		}
	}
	return b.String()
}

// Lower writes the call.
func (s SetScheduler) Lower(i *step.Init) error {
	const size = 56 // struct sched_attr with the two clamps, which stay zero
	ne := binary.NativeEndian
	b := ne.AppendUint32(nil, size)
	b = ne.AppendUint32(b, s.Policy)
	b = ne.AppendUint64(b, s.Flags)
	b = ne.AppendUint32(b, uint32(s.Nice))
	b = ne.AppendUint32(b, s.Priority)
	b = ne.AppendUint64(b, s.Runtime)
	b = ne.AppendUint64(b, s.Deadline)
	b = ne.AppendUint64(b, s.Period)
	b = ne.AppendUint64(b, 0)
	c := i.Call(unix.SYS_SCHED_SETATTR, 0, i.Bytes(b), 0).Label("set scheduler")
	if s.MayKeep {
		c.May(unix.EPERM)
	}
	return nil
}

// Explain adds to the errno of the call of Lower.
func (s SetScheduler) Explain(errno syscall.Errno) string {
	switch policy := policyNames[s.Policy]; {
	case policy == specs.SchedDeadline && errno == unix.EPERM:
		return "process scheduler can't be used together with AllowedCPUs"
	case policy == specs.SchedDeadline && errno == unix.EBUSY:
		return "the processors have no such share of time left for deadlines (sysctl kernel.sched_rt_runtime_us)"
	case (policy == specs.SchedFIFO || policy == specs.SchedRR) && errno == unix.EPERM:
		return "CAP_SYS_NICE is needed, and in a cgroup of version 1 a share of real time: " +
			"cpu.rt_runtime_us, which linux.resources.cpu.realtimeRuntime sets"
	case errno == unix.EPERM || errno == unix.EACCES:
		return "CAP_SYS_NICE is needed"
	case errno == unix.EOPNOTSUPP:
		return "this kernel does not clamp utilization"
	case policy == specs.SchedISO && errno == unix.EINVAL:
		return "no kernel has this policy"
	}
	return ""
}

// SetIOPriority sets the I/O class and priority of the process (ioprio_set(2)).
type SetIOPriority struct {
	Class    int // 0 for none: it follows from the nice value
	Priority int
}

var ioClassNames = [...]specs.IOPriorityClass{
	"", specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE,
}

// IOPriority compiles process.ioPriority; the caller's is not inherited.
func IOPriority(in *step.Input, emit step.Emit) error {
	if in.Process == nil {
		return nil
	}
	p := in.Process.IOPriority
	if p == nil {
		emit("ocirt", SetIOPriority{})
		return nil
	}
	class := slices.Index(ioClassNames[:], p.Class)
	if class <= 0 {
		return fmt.Errorf("cannot set I/O priority: unknown class %q", p.Class)
	}
	if p.Priority < 0 || p.Priority > 7 {
		return fmt.Errorf("cannot set I/O priority %d: out of range (0 to 7)", p.Priority)
	}
	emit("/process/ioPriority", SetIOPriority{class, p.Priority})
	return nil
}

func (s SetIOPriority) String() string {
	if s.Class == 0 {
		return "reset I/O priority"
	}
	return fmt.Sprintf("set I/O priority to %s %d", ioClassNames[s.Class], s.Priority)
}

// Lower writes the call. Kernels without block devices do not know it.
func (s SetIOPriority) Lower(i *step.Init) error {
	const whoProcess, classShift = 1, 13
	c := i.Call(unix.SYS_IOPRIO_SET, whoProcess, 0, s.Class<<classShift|s.Priority).Label("set I/O priority")
	if s.Class == 0 {
		c.May(unix.ENOSYS, unix.EPERM)
	}
	return nil
}

// Explain adds to the errno of the call of Lower.
func (s SetIOPriority) Explain(errno syscall.Errno) string {
	if errno == unix.EPERM {
		return "CAP_SYS_NICE or CAP_SYS_ADMIN is needed"
	}
	return ""
}
