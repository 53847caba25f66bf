// Package need says what an integration test needs from the machine it runs on.
//
// The contract is that of the unit tests: the environment variable OCIRT_TEST_PROMISES
// lists, separated by commas, what this machine promises. A test that needs something
// promised but absent fails; one that needs something neither promised nor present is
// skipped, with a line that begins with "SKIP-REASON:". It is written out again here
// because integration tests use nothing of the runtime that they test.
//
// What belongs here: gates. What does not: what a test does with the machine.
package need

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Root is for tests that need uid 0 with its capabilities, able to mount.
func Root(t testing.TB) {
	t.Helper()
	why := ""
	if euid := os.Geteuid(); euid != 0 {
		why = fmt.Sprintf("effective uid is %d", euid)
	} else if err := probeRoot(); err != nil {
		why = "cannot make a mount namespace: " + err.Error()
	}
	Feature(t, "root", why == "", why)
}

// UserNamespaces is for tests that make user namespaces as an ordinary user.
func UserNamespaces(t testing.TB) {
	t.Helper()
	err := probeUserNamespaces()
	Feature(t, "userns", err == nil, fmt.Sprintf("cannot make a user namespace: %v", err))
}

// Systemd is for tests that ask systemd for units: root the system's, an ordinary user their
// own.
func Systemd(t testing.TB) {
	t.Helper()
	path := "/run/systemd/private"
	if os.Geteuid() != 0 {
		path = os.Getenv("XDG_RUNTIME_DIR") + "/systemd/private"
	}
	_, err := os.Stat(path)
	Feature(t, "systemd", err == nil, fmt.Sprintf("no systemd to ask: %v", err))
}

// Tool is for tests that run another program. It returns the program's path.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	Feature(t, name, err == nil, fmt.Sprintf("no %s in PATH", name))
	return path
}

// Feature gates on anything else: present says whether the machine has what name
// promises, why is the reason to print when it does not.
func Feature(t testing.TB, name string, present bool, why string) {
	t.Helper()
	if present {
		return
	}
	for p := range strings.SplitSeq(os.Getenv("OCIRT_TEST_PROMISES"), ",") {
		if strings.TrimSpace(p) == name {
			t.Fatalf("OCIRT_TEST_PROMISES promises %q, but: %s", name, why)
		}
	}
	fmt.Fprintf(t.Output(), "SKIP-REASON: %s: %s: %s\n", name, t.Name(), why)
	t.SkipNow()
}

var probeRoot = sync.OnceValue(func() error {
	return probe(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS})
})

var probeUserNamespaces = sync.OnceValue(func() error {
	// The mount namespace is what shows that the capabilities are real.
	attr := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	return probe(attr)
})

func probe(attr *syscall.SysProcAttr) error {
	c := exec.Command("/proc/self/exe", "-test.run=^$")
	c.Env = append(os.Environ(), Probing+"=1")
	c.SysProcAttr = attr
	return c.Run()
}

// Probing is set in the environment of a test binary that is run only to see whether it
// can be: TestMain should then do nothing.
const Probing = "OCIRT_NEED_PROBING"
