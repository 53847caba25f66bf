// Package cgrouphost gives a program a host on which every runtime can work.
//
// A host that keeps some controllers on version 1 hierarchies and leaves another one,
// mostly hugetlb, to the unified hierarchy is refused by some runtimes, and parts of
// the OCI validation suite find nothing to look at. The missing hierarchy is mounted
// in a mount namespace of the program's own, so that the host does not change.
//
// What belongs here: preparing the host for a comparison of runtimes. What does not:
// anything about a runtime or a container.
package cgrouphost

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	cgroupRoot = "/sys/fs/cgroup"
	tmpfsMagic = 0x01021994

	// inside marks a copy of the program that lives in its own mount namespace, and
	// says what it is for.
	inside  = "OCIRT_CGROUPHOST_INSIDE"
	forWork = "work"
	forTidy = "tidy"
)

// Enter runs the calling program again, with the same arguments, in a mount namespace
// of its own, and returns that copy's exit status with true. In the copy it returns
// false. It needs root.
func Enter() (status int, done bool, err error) {
	if os.Geteuid() != 0 {
		return 0, false, errors.New("cannot make a mount namespace without root")
	}
	switch os.Getenv(inside) {
	case forWork:
		return 0, false, complete()
	case forTidy:
		return 0, true, remount()
	}
	before := hugetlbHierarchy()
	// The copy shares the terminal and gets the same signal; it must be the one to
	// clean up, so this one only waits. Notify, not Ignore: that would be inherited.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM)
	status, err = again(forWork)
	// A hierarchy whose cgroups were still on their way out outlives its last mount.
	for range 40 {
		if before != "0" || hugetlbHierarchy() == "0" {
			break
		}
		_, _ = again(forTidy)
		time.Sleep(50 * time.Millisecond)
	}
	return status, true, err
}

// again runs this program in a mount namespace of its own.
func again(what string) (int, error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("cannot find this program: %w", err)
	}
	cmd := exec.Command(exe, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"="+what)
	// With CLONE_NEWNS, the syscall package also makes every mount private.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	err = cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); ok || err == nil {
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, fmt.Errorf("cannot make a mount namespace: %w", err)
}

// hugetlbHierarchy returns the number of the version 1 hierarchy of the controller, "0"
// if it has none, and "" if the kernel does not know it.
func hugetlbHierarchy() string {
	data, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "hugetlb" {
			return f[1]
		}
	}
	return ""
}

// remount mounts the controller and takes it away again.
func remount() error {
	tmp, err := os.MkdirTemp("", "ocirt-cgroup-")
	if err != nil {
		return fmt.Errorf("cannot make a cgroup folder: %w", err)
	}
	defer os.Remove(tmp)
	if err := syscall.Mount("cgroup", tmp, "cgroup", 0, "hugetlb"); err != nil {
		return fmt.Errorf("cannot mount hugetlb: %w", err)
	}
	return syscall.Unmount(tmp, 0)
}

// complete mounts the hugetlb controller as a version 1 hierarchy if the host has
// other version 1 hierarchies and left this one out. It goes on a copy of the cgroup
// folder, because a new mount point in the original would be visible outside.
func complete() error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(cgroupRoot, &fs); err != nil || fs.Type != tmpfsMagic {
		return nil // cgroup 2 alone, or no cgroups at all
	}
	if _, err := os.Stat(filepath.Join(cgroupRoot, "hugetlb")); err == nil {
		return nil
	}
	if hugetlbHierarchy() == "" {
		return nil
	}
	tmp, err := os.MkdirTemp("", "ocirt-cgroup-")
	if err != nil {
		return fmt.Errorf("cannot make a cgroup folder: %w", err)
	}
	defer os.Remove(tmp)
	if err := syscall.Mount("cgroup", tmp, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("cannot mount a cgroup folder: %w", err)
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return fmt.Errorf("cannot list %s: %w", cgroupRoot, err)
	}
	for _, e := range entries {
		if err := copyHierarchy(e, tmp); err != nil {
			return err
		}
	}
	huge := filepath.Join(tmp, "hugetlb")
	if err := os.Mkdir(huge, 0o755); err != nil {
		return fmt.Errorf("cannot make a hugetlb folder: %w", err)
	}
	if err := syscall.Mount("cgroup", huge, "cgroup", 0, "hugetlb"); err != nil {
		// Somebody uses the controller on the unified hierarchy: do without.
		_ = os.Remove(huge)
	}
	if err := syscall.Mount(tmp, cgroupRoot, "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("cannot replace %s: %w", cgroupRoot, err)
	}
	return nil
}

// copyHierarchy makes an entry of the cgroup folder visible in dir.
func copyHierarchy(e os.DirEntry, dir string) error {
	from, to := filepath.Join(cgroupRoot, e.Name()), filepath.Join(dir, e.Name())
	if e.Type()&os.ModeSymlink != 0 { // cpu -> cpu,cpuacct
		target, err := os.Readlink(from)
		if err == nil {
			err = os.Symlink(target, to)
		}
		return err
	}
	if !e.IsDir() {
		return nil
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(from, to, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("cannot bind %s: %w", from, err)
	}
	return nil
}
