package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/internal/profiles"
)

// A lab is where containers are made: some bundles, and a state folder for each runtime.
type lab struct {
	dir        string
	programs   string // copies of the runtimes
	contenders []contender
	bundleTrue string // ends at once

	bundleDocker string // the same, with Docker's seccomp profile
	bundleWait   string // sleeps
	null         *os.File
	next         int
	open         []opened
}

// opened is a container that has not been deleted yet.
type opened struct {
	by contender
	id string
}

func newLab(contenders []contender) (_ *lab, err error) {
	// State folders belong on /run, where a runtime's own would be.
	dir, err := os.MkdirTemp("/run", "ocirt-bench-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a working folder: %w", err)
	}
	l := &lab{dir: dir}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	// Where /run is not a tmpfs, as it is on hosts with systemd, they would measure the disk.
	state := filepath.Join(dir, "state")
	if err = os.Mkdir(state, 0o700); err == nil {
		err = syscall.Mount("tmpfs", state, "tmpfs", 0, "mode=700")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make the state folders: %w", err)
	}
	for _, c := range contenders {
		c.root = filepath.Join(state, c.name)
		if c.path, err = l.copy(c); err != nil {
			return nil, err
		}
		l.contenders = append(l.contenders, c)
	}
	rootfs := filepath.Join(dir, "rootfs")
	if err := makeRootfs(rootfs); err != nil {
		return nil, err
	}
	if l.bundleTrue, err = makeBundle(dir, "true", rootfs, nil, "true"); err != nil {
		return nil, err
	}
	profile := new(specs.LinuxSeccomp)
	if err := json.Unmarshal(profiles.Docker, profile); err != nil {
		return nil, fmt.Errorf("cannot read Docker's seccomp profile: %w", err)
	}
	if l.bundleDocker, err = makeBundle(dir, "docker", rootfs, profile, "true"); err != nil {
		return nil, err
	}
	l.bundleWait, err = makeBundle(dir, "wait", rootfs, nil, "sleep", "1000")
	return l, err
}

// copy makes a copy of a runtime to measure. How a file came into the page cache, and in what
// pieces, decides on a twentieth of a short program's time: a linker writes page by page, a
// package manager in larger pieces. So all of them are written in one.
func (l *lab) copy(c contender) (path string, err error) {
	if l.programs == "" {
		// Not below /run, from which some hosts execute nothing.
		if l.programs, err = os.MkdirTemp("/var/tmp", "ocirt-bench-"); err != nil {
			return "", fmt.Errorf("cannot make a folder for the programs: %w", err)
		}
	}
	program, err := os.ReadFile(c.path)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", c.name, err)
	}
	path = filepath.Join(l.programs, c.name)
	return path, os.WriteFile(path, program, 0o755) //nolint:gosec // to be executed
}

// close deletes every container that is left and the lab's folder.
func (l *lab) close() {
	for len(l.open) > 0 {
		o := l.open[len(l.open)-1]
		l.open = l.open[:len(l.open)-1]
		_, _ = l.output(o.by, "delete", "--force", o.id)
	}
	if l.null != nil {
		_ = l.null.Close()
	}
	_ = syscall.Unmount(filepath.Join(l.dir, "state"), syscall.MNT_DETACH)
	if err := errors.Join(os.RemoveAll(l.dir), os.RemoveAll(l.programs)); err != nil {
		fmt.Fprintln(os.Stderr, "bench: cannot clean up:", err)
	}
}

func (l *lab) newID() string {
	l.next++
	return "bench" + strconv.Itoa(os.Getpid()) + "x" + strconv.Itoa(l.next)
}

// spawn returns how long a runtime's command takes from fork to exit. It goes through
// no more of the standard library than it must; what is left is the same for all.
func (l *lab) spawn(c contender, args ...string) (time.Duration, error) {
	argv := append([]string{c.path, "--root", c.root}, args...)
	fd := l.null.Fd()
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{fd, fd, fd}}
	var status syscall.WaitStatus
	begin := time.Now()
	pid, err := syscall.ForkExec(c.path, argv, attr)
	if err != nil {
		return 0, fmt.Errorf("cannot start %s: %w", c.name, err)
	}
	err = await(pid, &status)
	took := time.Since(begin)
	if err == nil && status != 0 {
		// Only now is it worth knowing why: ask again, listening.
		_, err = l.output(c, args...)
		return took, fmt.Errorf("%s %s ended with status %#x: %w", c.name, args[0], int(status), err)
	}
	return took, err
}

// await is wait4(2), without the Go scheduler, which is told of a call that blocks, and has to
// be woken up at its end: a tenth of a millisecond on an idle machine.
func await(pid int, status *syscall.WaitStatus) error {
	for {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(status)), 0, 0, 0, 0)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return os.NewSyscallError("wait4", errno)
		}
	}
}

// output runs a runtime's command for its answer, not for its time.
func (l *lab) output(c contender, args ...string) ([]byte, error) {
	var stderr strings.Builder
	cmd := exec.Command(c.path, append([]string{"--root", c.root}, args...)...)
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", c.name, args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// create makes a waiting container and remembers to delete it.
func (l *lab) create(c contender) (string, error) {
	id := l.newID()
	if _, err := l.spawn(c, "create", "--bundle", l.bundleWait, id); err != nil {
		return "", err
	}
	l.open = append(l.open, opened{c, id})
	return id, nil
}

// remove deletes all containers that create has made.
func (l *lab) remove() error {
	var failed error
	for _, o := range l.open {
		if _, err := l.output(o.by, "delete", "--force", o.id); err != nil {
			failed = err
		}
	}
	l.open = nil
	return failed
}

func (l *lab) pid(c contender, id string) (int, error) {
	out, err := l.output(c, "state", id)
	if err != nil {
		return 0, err
	}
	var state struct {
		Pid int `json:"pid"`
	}
	if err := json.Unmarshal(out, &state); err != nil || state.Pid == 0 {
		return 0, fmt.Errorf("cannot read the state that %s prints: %q", c.name, out)
	}
	return state.Pid, nil
}
