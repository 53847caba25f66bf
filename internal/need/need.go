// Package need says what a test needs from the machine it runs on.
//
// The environment variable OCIRT_TEST_PROMISES lists, separated by commas, what
// this machine promises: "root", "userns", "cgroup1", "cgroup2", or the name of a
// tool or feature. A test that needs something promised but absent fails, because
// otherwise a broken CI machine would look like a green one. A test that needs
// something neither promised nor present is skipped, with one line that begins
// with "SKIP-REASON:" so that the skips of a whole run can be printed as a table.
//
// Only gates belong here: what a test does with the machine is its own affair.
package need

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Promises is the environment variable that lists what the machine promises.
const Promises = "OCIRT_TEST_PROMISES"

// Root is for tests that need uid 0 with its capabilities, able to mount.
func Root(t testing.TB) {
	t.Helper()
	var why string
	if euid := os.Geteuid(); euid != 0 {
		why = fmt.Sprintf("effective uid is %d", euid)
	} else if err := probeRoot(); err != nil {
		why = "cannot make a mount namespace: " + err.Error()
	}
	Feature(t, "root", why == "", why)
}

// UserNamespaces is for tests that make user namespaces and use the capabilities
// they get there.
func UserNamespaces(t testing.TB) {
	t.Helper()
	err := probeUserNamespaces()
	Feature(t, "userns", err == nil, fmt.Sprintf("cannot make a user namespace: %v", err))
}

// Cgroup1 is for tests that need at least one mounted cgroup v1 controller they
// may write to.
func Cgroup1(t testing.TB) {
	t.Helper()
	mounts := cgroupMounts("cgroup")
	ok := slices.ContainsFunc(mounts, writable)
	Feature(t, "cgroup1", ok, fmt.Sprintf("no writable cgroup v1 hierarchy among %q", mounts))
}

// Cgroup2 is for tests that need cgroup v2 as the host's only version, mounted on
// /sys/fs/cgroup and writable. A hybrid host does not count.
func Cgroup2(t testing.TB) {
	t.Helper()
	mounts := cgroupMounts("cgroup2")
	ok := slices.Contains(mounts, "/sys/fs/cgroup") && writable("/sys/fs/cgroup")
	Feature(t, "cgroup2", ok, fmt.Sprintf("no writable cgroup2 on /sys/fs/cgroup (cgroup2 mounts: %q)", mounts))
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
	if promised(name) {
		t.Fatalf("%s promises %q, but: %s", Promises, name, why)
	}
	fmt.Fprintf(t.Output(), "SKIP-REASON: %s: %s: %s\n", name, t.Name(), why)
	t.SkipNow()
}

func promised(name string) bool {
	for p := range strings.SplitSeq(os.Getenv(Promises), ",") {
		if strings.TrimSpace(p) == name {
			return true
		}
	}
	return false
}

// probe starts this test binary, with no tests to run, in new namespaces. That
// asks the kernel, which is the only one who knows: sysctls, LSMs and outer
// seccomp filters all have a say.
func probe(attr *syscall.SysProcAttr) error {
	c := exec.Command("/proc/self/exe", "-test.run=^$")
	c.Env = append(os.Environ(), Probing+"=1")
	c.SysProcAttr = attr
	return c.Run()
}

// Probing is set in the environment of a test binary that is run only to see whether it
// can be: a TestMain that prepares anything should then do nothing.
const Probing = "OCIRT_NEED_PROBING"

var probeRoot = sync.OnceValue(func() error {
	return probe(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS})
})

var probeUserNamespaces = sync.OnceValue(func() error {
	// The mount namespace is what shows that the capabilities are real:
	// AppArmor lets user namespaces be made and takes their capabilities away.
	return probe(&syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	})
})

// cgroupMounts lists the mount points of one file system type.
func cgroupMounts(fstype string) []string {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var points []string
	for line := range bytes.Lines(data) {
		before, after, ok := strings.Cut(string(line), " - ")
		fields := strings.Fields(before)
		if ok && len(fields) > 4 && strings.HasPrefix(after, fstype+" ") {
			points = append(points, fields[4])
		}
	}
	return points
}

func writable(dir string) bool {
	const wOK = 2
	return syscall.Access(dir, wOK) == nil
}
