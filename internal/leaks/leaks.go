// Package leaks fails a package's tests if they leave open descriptors or children behind.
//
// What belongs here: what a process can see of itself. What does not: mounts, cgroups and
// whatever else tests of whole containers may leave.
package leaks

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// Run runs the tests and returns the exit status for the process. It is the end of a
// TestMain: os.Exit(leaks.Run(m)).
func Run(m *testing.M) int {
	// What the process itself was started with must not count as the tests'.
	const sysCloseRange, cloexec = 436, 4
	_, _, _ = syscall.Syscall(sysCloseRange, 3, ^uintptr(0)>>33, cloexec)
	before := descriptors()
	code := m.Run()
	if code != 0 {
		return code
	}
	if after := descriptors(); len(after) > len(before) {
		fmt.Fprintf(os.Stderr, "leaked descriptors: %q, at first %q\n", after, before)
		code = 1
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		fmt.Fprintf(os.Stderr, "left a child: %d, %v\n", pid, err)
		code = 1
	}
	return code
}

// descriptors are the open ones, but for those of the Go runtime and of package testing.
func descriptors() (open []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.Contains(to, "eventpoll") && !strings.Contains(to, "eventfd") && !strings.Contains(to, "[pidfd]") &&
			!strings.HasPrefix(to, "/proc/") && !strings.Contains(to, "testlog") {
			open = append(open, e.Name()+"="+to)
		}
	}
	return open
}
