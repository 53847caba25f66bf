package hooks

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// messageTail is how much of each output stream stands in the error's text.
const messageTail = 4 << 10

// An Error is a hook that failed: it could not be started, ended badly, or was
// killed because its time was up.
type Error struct {
	Kind  string // the list in config.json, such as "createRuntime"; empty from Run
	Index int    // position in that list
	Path  string // the hook's path, as configured

	ExitCode int            // -1 if it did not exit by itself
	Signal   syscall.Signal // the signal that ended it, or 0
	TimedOut bool           // it was killed because its timeout was over
	Timeout  time.Duration  // that timeout

	// What the hook printed: the last 64 KiB of each stream, as they came.
	Stdout, Stderr string

	// Err is why there is no exit status to judge by, or nil if there is one:
	// the errno of a hook that could not be started, context.DeadlineExceeded
	// after a timeout, the cause of a cancelled context.
	Err error
}

// Error is one line, whatever the hook printed. It begins with words that callers
// match.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Kind == "" {
		b.WriteString("error running hook: ")
	} else {
		fmt.Fprintf(&b, "error running %s hook #%d: ", e.Kind, e.Index)
	}
	b.WriteString(strconv.Quote(e.Path))
	b.WriteString(": ")
	switch {
	case e.TimedOut:
		fmt.Fprintf(&b, "hook ran past specified timeout of %.1fs (timed out after %d s)",
			e.Timeout.Seconds(), int64(e.Timeout.Seconds()))
	case e.Err != nil:
		b.WriteString(escape(e.Err.Error()))
		if e.Stdout == "" && e.Stderr == "" {
			return b.String()
		}
	case e.Signal != 0:
		fmt.Fprintf(&b, "killed by signal %d", int(e.Signal))
	default:
		fmt.Fprintf(&b, "exit status %d", e.ExitCode)
	}
	fmt.Fprintf(&b, ", stdout: %s, stderr: %s", quoteTail(e.Stdout), quoteTail(e.Stderr))
	return b.String()
}

// Unwrap gives the cause, if there is one beside the exit status.
func (e *Error) Unwrap() error { return e.Err }

// quoteTail is the end of s as part of one line.
func quoteTail(s string) string {
	s = strings.TrimRight(s, " \t\r\n")
	if len(s) <= messageTail {
		return escape(s)
	}
	s = s[len(s)-messageTail:]
	for len(s) > 0 && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	return "..." + escape(s)
}

// escape makes control characters, and what else would not print, visible.
func escape(s string) string {
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	b := make([]byte, 0, len(s)+len(s)/8)
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r != utf8.RuneError && strconv.IsPrint(r) {
			b = append(b, s[:n]...)
		} else {
			quoted := strconv.AppendQuote(nil, s[:n])
			b = append(b, quoted[1:len(quoted)-1]...)
		}
		s = s[n:]
	}
	return string(b)
}
