package runtime

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Processes are the pids of the container's processes in the caller's pid namespace, sorted.
func (c *Container) Processes() ([]int, error) {
	if err := c.trust(); err != nil {
		return nil, err
	}
	if c.inGroup() {
		return c.group().Pids()
	}
	status, err := c.Status()
	if err != nil || status == Stopped || c.rec.Pid == 0 {
		return nil, err
	}
	return c.namespacePids(), nil
}

// namespacePids are the processes in the pid namespace of a container that has no cgroup by
// which they could be told: those that this user may look at. Processes in pid namespaces
// below it are not among them. A container without a pid namespace of its own has only its
// first process.
func (c *Container) namespacePids() []int {
	if !c.rec.PidNamespace {
		return []int{c.rec.Pid}
	}
	own, err := os.Readlink(pidNamespace(c.rec.Pid))
	entries, err2 := os.ReadDir("/proc")
	if err != nil || err2 != nil {
		return []int{c.rec.Pid}
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ns, err := os.Readlink(pidNamespace(pid)); err == nil && ns == own {
			pids = append(pids, pid)
		}
	}
	if _, alive, err := c.process().Alive(); err != nil || !alive {
		return nil // the namespace that was looked for may have been somebody else's
	}
	slices.Sort(pids)
	return pids
}

func pidNamespace(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/ns/pid" }

// signalNamespace signals the processes of the container's pid namespace but init.
func (c *Container) signalNamespace(sig unix.Signal) error {
	if _, alive, err := c.process().Alive(); err != nil || !alive {
		return nil //nolint:nilerr // with init, all of them have ended
	}
	own, err := os.Readlink(pidNamespace(c.rec.Pid))
	if err != nil {
		return fmt.Errorf("cannot look at the pid namespace of init: %w", err)
	}
	for _, pid := range c.namespacePids() {
		if pid == c.rec.Pid {
			continue
		}
		if err := signalIn(pid, own, sig); err != nil {
			return err
		}
	}
	return nil
}

// signalIn signals a process that is still in the pid namespace called ns.
func signalIn(pid int, ns string, sig unix.Signal) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open process %d: %w", pid, err)
	}
	defer unix.Close(pidfd)
	// Held now, so that the number cannot become a stranger's.
	if now, err := os.Readlink(pidNamespace(pid)); err != nil || now != ns {
		return nil //nolint:nilerr // it has ended
	}
	if err := unix.PidfdSendSignal(pidfd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot signal process %d: %w", pid, err)
	}
	return nil
}
