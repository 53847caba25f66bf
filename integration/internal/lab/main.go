// Package lab is the workbench of the integration tests: it makes bundles, drives a
// runtime by its command line, and checks that nothing is left behind.
//
// Any runtime can be on the bench: the environment variable OCIRT names its program, and
// bin/ocirt of this module is the default. A test that only holds for ocirt asks
// [Runtime.Ours].
//
// What belongs here: what tests of several packages share. What does not: what a
// particular behaviour of a container should be.
package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/module"
	"github.com/ocirt/ocirt/internal/need"
)

// bench is what all tests of a package share.
type bench struct {
	runtime string // absolute path of the program under test
	inside  string // of the checker
	hook    string // of the program for hooks
	busybox string // of a static busybox; empty: there is none
	dir     string // for the checker and whatever lives as long as the package's tests
}

var theBench bench //nolint:gochecknoglobals // made once by Main, before any test

// apart marks a test binary that is in namespaces of its own.
const apart = "OCIRT_LAB_APART"

// Main is the body of a package's TestMain. Before the tests it builds the checker, and as
// root it moves the tests into mount and ipc namespaces of their own, so that a change of
// the mount table or a new message queue is their doing.
func Main(m *testing.M) {
	if os.Getenv(need.Probing) != "" {
		return
	}
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (int, error) {
	if err := standApart(); err != nil {
		return 0, err
	}
	// Orphans of containers become ours: they can be seen, and waited for.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("cannot become the sub-reaper: %w", err)
	}
	root, err := module.Root()
	if err != nil {
		return 0, err
	}
	b := bench{}
	if b.dir, err = os.MkdirTemp("", "ocirt-lab-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(b.dir)
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return 0, err
	}
	if b.runtime, err = takeRuntime(root, b.dir); err != nil {
		return 0, fmt.Errorf("no runtime to test: %w", err)
	}
	for name, to := range map[string]*string{"inside": &b.inside, "hook": &b.hook} {
		*to = filepath.Join(b.dir, name)
		if err := provide(root, name, *to); err != nil {
			return 0, err
		}
	}
	if busybox, err := exec.LookPath("busybox"); err == nil {
		b.busybox = filepath.Join(b.dir, "busybox")
		if err := copyFile(busybox, b.busybox); err != nil {
			return 0, err
		}
	}
	theBench = b
	return m.Run(), nil
}

// takeRuntime copies the program under test, so that one that is built anew meanwhile is
// not mistaken for one that was tampered with.
func takeRuntime(root, dir string) (string, error) {
	from := os.Getenv("OCIRT")
	if from == "" {
		from = filepath.Join(root, "bin", "ocirt")
	}
	from, err := exec.LookPath(from)
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, filepath.Base(from))
	return to, copyFile(from, to)
}

// standApart executes the test binary again in namespaces of its own.
func standApart() error {
	if os.Geteuid() != 0 || os.Getenv(apart) == strconv.Itoa(os.Getpid()) {
		return os.Unsetenv(apart)
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_FS); err != nil {
		return nil //nolint:nilerr // not all of root's capabilities: tests that need them skip
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make the mounts private: %w", err)
	}
	// It shows the queues of the namespace in which it was mounted.
	_ = unix.Mount("mqueue", "/dev/mqueue", "mqueue", 0, "")
	// The thread that executes becomes the process, with its namespace.
	env := append(os.Environ(), apart+"="+strconv.Itoa(os.Getpid()))
	return unix.Exec("/proc/self/exe", os.Args, env)
}

// Programs is the environment variable that names a folder with the programs of
// integration/cmd, already built: for machines without Go.
const Programs = "OCIRT_TEST_PROGRAMS"

// provide makes a program of integration/cmd, static.
func provide(root, name, to string) error {
	if dir := os.Getenv(Programs); dir != "" {
		return copyFile(filepath.Join(dir, name), to)
	}
	pkg := "./integration/cmd/" + name
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", to, pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s: %w\n%s", pkg, err, out)
	}
	return nil
}
