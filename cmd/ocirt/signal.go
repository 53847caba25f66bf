package main

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The real-time signals as the C library numbers them: it keeps the first two for itself.
const (
	sigRTMin = 34
	sigRTMax = 64
)

// parseSignal reads a signal: a number, a name with or without SIG in either case, or
// RTMIN+n, RTMAX-n. Empty means TERM. 0 is the test whether there is a process.
func parseSignal(text string) (unix.Signal, error) {
	if text == "" {
		return unix.SIGTERM, nil
	}
	if n, err := strconv.Atoi(text); err == nil || strings.Trim(text, "+-0123456789") == "" {
		if err != nil || n < 0 || n > sigRTMax || text[0] == '+' {
			return 0, fmt.Errorf("unknown signal %q: out of range (0 to %d)", text, sigRTMax)
		}
		return unix.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if n, ok := realTime(name); ok {
		return n, nil
	}
	switch name { // older names of the same signals
	case "IOT":
		return unix.SIGABRT, nil
	case "CLD":
		return unix.SIGCHLD, nil
	case "POLL":
		return unix.SIGIO, nil
	case "UNUSED":
		return unix.SIGSYS, nil
	}
	if n := unix.SignalNum("SIG" + name); n != 0 {
		return n, nil
	}
	return 0, fmt.Errorf("unknown signal %q", text)
}

func realTime(name string) (unix.Signal, bool) {
	from, sign := sigRTMin, 1
	rest, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		if rest, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
		from, sign = sigRTMax, -1
	}
	if rest == "" {
		return unix.Signal(from), true
	}
	if (rest[0] == '+') != (sign > 0) || rest[0] != '+' && rest[0] != '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(rest[1:], 10, 8)
	if err != nil || n > sigRTMax-sigRTMin {
		return 0, false
	}
	return unix.Signal(from + sign*int(n)), true
}
