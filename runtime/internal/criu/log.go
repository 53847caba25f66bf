package criu

import (
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// logTail is how much of a log is read for its errors.
const logTail = 64 << 10

// LastErrors are the last lines of a log of CRIU's that tell of errors, oldest first, at
// most n: what went wrong first often stands before what followed from it.
func LastErrors(dir *os.File, name string, n int) []string {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return lastErrors(f, "Error", n)
}

// lastErrors are the last lines of f that hold a word.
func lastErrors(f *os.File, word string, n int) []string {
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return nil
	}
	from := max(0, st.Size()-logTail)
	b, err := io.ReadAll(io.NewSectionReader(f, from, logTail))
	if err != nil {
		return nil
	}
	var found []string
	for line := range strings.Lines(string(b)) {
		if line = clean(line); line != "" && strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return found[max(0, len(found)-n):]
}

// maxLine is as much of a line as an error message can bear.
const maxLine = 300

// clean makes a line of the log fit for a message: paths of the container stand in it, so
// it may hold anything. The time at its beginning goes.
func clean(line string) string {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "(") {
		if _, rest, ok := strings.Cut(line, ")"); ok {
			line = strings.TrimSpace(rest)
		}
	}
	if len(line) > maxLine {
		line = line[:maxLine] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, line)
}
