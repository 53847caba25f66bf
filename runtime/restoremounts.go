package runtime

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// checkMounts makes sure of what a restored container sees of the host before it runs: no
// more than config.json lets it, and nothing writable that is read-only there. The images
// say where a mount goes and how, and they were written with a container that may have
// remounted what it could.
func checkMounts(pid int, trees []hostTree) error {
	host, err := mountsOf("self")
	if err != nil {
		return err
	}
	ofHost := map[string]bool{}
	for _, m := range host {
		ofHost[m.dev] = true
	}
	mounts, err := mountsOf(strconv.Itoa(pid))
	if err != nil {
		return err
	}
	for i := range mounts {
		m := &mounts[i]
		if !ofHost[m.dev] || ofKernel(m.fstype) {
			continue // its own
		}
		if err := mayShow(m, trees); err != nil {
			return err
		}
	}
	return nil
}

func mayShow(m *mount, trees []hostTree) error {
	seen := false
	for i := range trees {
		if !trees[i].holds(m) {
			continue
		}
		if seen = true; m.readOnly || !trees[i].readOnly {
			return nil
		}
	}
	if seen {
		return fmt.Errorf("the mount on %q would be writable, and config.json has it read-only: %w", m.point, unix.EROFS)
	}
	return fmt.Errorf("the mount on %q shows files of the host that config.json does not name: %w", m.point, unix.EPERM)
}

// ofKernel reports whether a file system shows what the kernel lets each process see.
func ofKernel(fstype string) bool {
	switch fstype {
	case "proc", "sysfs", "cgroup", "cgroup2", "mqueue":
		return true
	}
	return false
}
