package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A limit is a pair of numbers as /proc/self/limits spells them, "unlimited" included.
type limit struct {
	Soft string `json:"soft"`
	Hard string `json:"hard"`
}

// rlimitNames is in the order of the kernel's numbers, which all architectures of ours share.
var rlimitNames = [...]string{
	"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE",
	"MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
}

func readLimits() (map[string]limit, error) {
	m := map[string]limit{}
	for i, name := range rlimitNames {
		var l unix.Rlimit
		if err := unix.Prlimit(0, i, nil, &l); err != nil {
			return nil, err
		}
		m["RLIMIT_"+name] = limit{limitText(l.Cur), limitText(l.Max)}
	}
	return m, nil
}

func limitText(v uint64) string {
	if v == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(v, 10)
}

// scheduling is how the kernel treats the process.
type scheduling struct {
	Policy      string `json:"policy"`
	Flags       uint64 `json:"flags"`
	Nice        int    `json:"nice"`
	Priority    int    `json:"priority"`
	IOClass     int    `json:"ioClass"`
	IOLevel     int    `json:"ioLevel"`
	OOMScoreAdj string `json:"oomScoreAdj"`
	Personality string `json:"personality"` // hexadecimal, as in /proc
	CPUs        string `json:"cpus"`
}

func readScheduling() (*scheduling, error) {
	// By number: 0 would mean the thread that asks, and SCHED_FLAG_RESET_ON_FORK
	// gives every thread but the first one the default policy.
	pid := os.Getpid()
	attr, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		return nil, err
	}
	s := &scheduling{
		Policy: policyName(attr.Policy), Flags: attr.Flags, Nice: int(attr.Nice), Priority: int(attr.Priority),
	}
	// Which, who: this process.
	prio, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(pid), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("ioprio_get", errno)
	}
	s.IOClass, s.IOLevel = int(prio>>13), int(prio&7)
	if s.OOMScoreAdj, err = readWord("/proc/self/oom_score_adj"); err != nil {
		return nil, err
	}
	// The call, because /proc/self/personality needs ptrace rights.
	persona, _, errno := unix.Syscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("personality", errno)
	}
	s.Personality = strconv.FormatUint(uint64(persona), 16)
	status, err := readStatus()
	s.CPUs = status["Cpus_allowed_list"]
	return s, err
}

func policyName(n uint32) string {
	names := [...]string{"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "4", "SCHED_IDLE", "SCHED_DEADLINE", "SCHED_EXT"}
	if int(n) < len(names) {
		return names[n]
	}
	return strconv.Itoa(int(n))
}

// clocks is what a time namespace shifts. Seconds with nine decimals.
type clocks struct {
	Offsets   []string `json:"offsets"`
	Monotonic string   `json:"monotonic"`
	Boottime  string   `json:"boottime"`
	Realtime  string   `json:"realtime"`
}

func readClocks() (*clocks, error) {
	var c clocks
	for _, f := range []struct {
		id int32
		to *string
	}{{unix.CLOCK_MONOTONIC, &c.Monotonic}, {unix.CLOCK_BOOTTIME, &c.Boottime}, {unix.CLOCK_REALTIME, &c.Realtime}} {
		var ts unix.Timespec
		if err := unix.ClockGettime(f.id, &ts); err != nil {
			return nil, err
		}
		nano := strconv.FormatInt(ts.Nano(), 10)
		if len(nano) < 10 {
			nano = strings.Repeat("0", 10-len(nano)) + nano
		}
		*f.to = nano[:len(nano)-9] + "." + nano[len(nano)-9:]
	}
	var err error
	c.Offsets, err = readLines("/proc/self/timens_offsets")
	return &c, err
}

// windowSize returns columns and rows of a terminal.
func windowSize(fd int) (cols, rows int, err error) {
	w, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, err
	}
	return int(w.Col), int(w.Row), nil
}
