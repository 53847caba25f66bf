package spec

import "github.com/opencontainers/runtime-spec/specs-go"

var ioClasses = [...]specs.IOPriorityClass{
	specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE,
}

func (c *checker) ioPriority(io *specs.LinuxIOPriority) {
	if io == nil {
		return
	}
	switch {
	case io.Class == "":
		c.missing().at("process", "ioPriority", "class")
	case !has(ioClasses[:], io.Class):
		c.unknownWord(string(io.Class), nil).at("process", "ioPriority", "class")
	}
	if io.Priority < 0 || io.Priority > 7 {
		c.errorf("%d is out of range (0 to 7)", io.Priority).at("process", "ioPriority", "priority")
	}
}

var schedulerPolicies = [...]specs.LinuxSchedulerPolicy{
	specs.SchedOther, specs.SchedFIFO, specs.SchedRR, specs.SchedBatch,
	specs.SchedISO, specs.SchedIdle, specs.SchedDeadline,
}

var schedulerFlags = [...]specs.LinuxSchedulerFlag{
	specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun,
	specs.SchedFlagKeepPolicy, specs.SchedFlagKeepParams,
	specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax,
}

func (c *checker) scheduler(s *specs.Scheduler) {
	if s == nil {
		return
	}
	switch {
	case s.Policy == "":
		c.missing().at("process", "scheduler", "policy")
	case !has(schedulerPolicies[:], s.Policy):
		c.unknownWord(string(s.Policy), words(schedulerPolicies[:])).at("process", "scheduler", "policy")
	default:
		c.schedulerFields(s)
	}
	if s.Nice < -20 || s.Nice > 19 {
		c.errorf("out of range (-20 to 19), found %d", s.Nice).at("process", "scheduler", "nice")
	}
	for i, flag := range s.Flags {
		if !has(schedulerFlags[:], flag) {
			c.unknownWord(string(flag), words(schedulerFlags[:])).at("process", "scheduler", "flags", i)
		}
	}
}

// schedulerFields checks which numbers go with which policy, see sched(7).
func (c *checker) schedulerFields(s *specs.Scheduler) {
	switch s.Policy {
	case specs.SchedFIFO, specs.SchedRR:
		if s.Priority < 1 || s.Priority > 99 {
			c.errorf("%d is out of range (1 to 99)", s.Priority).at("process", "scheduler", "priority")
		}
	default:
		if s.Priority != 0 {
			c.errorf("only for SCHED_FIFO and SCHED_RR, not %s", s.Policy).at("process", "scheduler", "priority")
		}
	}
	if s.Nice != 0 && s.Policy != specs.SchedOther && s.Policy != specs.SchedBatch {
		c.errorf("only for SCHED_OTHER and SCHED_BATCH, not %s", s.Policy).at("process", "scheduler", "nice")
	}
	if s.Policy != specs.SchedDeadline {
		for _, f := range []struct {
			name  string
			value uint64
		}{{"runtime", s.Runtime}, {"deadline", s.Deadline}, {"period", s.Period}} {
			if f.value != 0 {
				c.errorf("only for SCHED_DEADLINE, not %s", s.Policy).at("process", "scheduler", f.name)
			}
		}
		return
	}
	switch period := max(s.Period, 0); {
	case s.Runtime < 1024: // the kernel's DL_SCALE, in nanoseconds
		c.errorf("smaller than 1024, found %d", s.Runtime).at("process", "scheduler", "runtime")
	case s.Runtime > s.Deadline:
		c.errorf("runtime %d is above deadline %d", s.Runtime, s.Deadline).at("process", "scheduler")
	case period != 0 && s.Deadline > period:
		c.errorf("deadline %d is above period %d", s.Deadline, period).at("process", "scheduler")
	}
}
