package runtime

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// maxNotification is the size of the largest message that service managers read: a page.
const maxNotification = 4096

// A notification is what may be passed on of a message.
type notification struct {
	text    string // lines
	ready   bool
	mainPID bool // the container said who its main process is, by a number that means nothing outside
}

// allowed goes through a message (sd_notify(3)). What tells about the container's own
// progress may pass; what asks the service manager to keep descriptors, to change its
// watch, or to believe in another process may not.
func allowed(message []byte) notification {
	var n notification
	var lines []string
	for line := range strings.SplitSeq(string(message), "\n") {
		key, value, _ := strings.Cut(line, "=")
		switch {
		case line == "READY=1":
			n.ready = true
		case line == "RELOADING=1":
			// With the time of the host: the container may have a clock of its own.
			line += "\nMONOTONIC_USEC=" + monotonic()
		case line == "STOPPING=1", line == "WATCHDOG=1", line == "WATCHDOG=trigger":
		case key == "EXTEND_TIMEOUT_USEC" && isNumber(value):
		case key == "STATUS" && line != key:
			line = "STATUS=" + strings.Map(printable, value)
		case key == "MAINPID":
			n.mainPID = true
			continue
		default:
			continue
		}
		lines = append(lines, line)
	}
	n.text = strings.Join(lines, "\n")
	return n
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

// printable keeps what a container says about itself from doing things to the terminal of
// the one who reads it.
func printable(r rune) rune {
	if r == utf8.RuneError || !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

// monotonic is CLOCK_MONOTONIC in microseconds.
func monotonic() string {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return "0"
	}
	return strconv.FormatInt(t.Nano()/1000, 10)
}
