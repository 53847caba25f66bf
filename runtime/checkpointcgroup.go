package runtime

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
)

// keepCgroupOptions returns a function that gives the version 2 hierarchy back the options
// that it has now. They are one set for the whole host, whoever mounts the hierarchy sets
// them anew (cgroup-v2, mounting), and CRIU mounts it without any: after that the host would
// lack nsdelegate, by which groups of a container are out of its reach. Meanwhile nobody else
// does the same, who would take the lack for what there was.
func keepCgroupOptions() (restore func() error) {
	point, _ := cgroup2Options()
	lock := lockCgroups(point)
	_, before := cgroup2Options()
	return func() error {
		defer lock.Close()
		_, now := cgroup2Options()
		if point == "" || slices.Equal(before, now) {
			return nil
		}
		if err := setCgroup2Options(point, before); err != nil {
			return fmt.Errorf("cannot restore the options of %s, %s: %w", point, strings.Join(before, ","), err)
		}
		return nil
	}
}

// cgroupsLockTime bounds the wait for another checkpoint: one with --lazy-pages may take for
// ever.
const cgroupsLockTime = 10 * time.Second

// lockCgroups takes a lock on the hierarchy, as far as that is possible.
func lockCgroups(point string) *os.File {
	f, err := os.OpenFile(point, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil
	}
	for end := time.Now().Add(cgroupsLockTime); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != unix.EWOULDBLOCK {
			break
		}
	}
	return f
}

// warnIf warns of what f cannot do.
func (rt *Runtime) warnIf(f func() error) {
	if err := f(); err != nil {
		rt.warnf("%v", err)
	}
}

// cgroup2Options are where the hierarchy is mounted, and its options.
func cgroup2Options() (point string, options []string) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", nil
	}
	for line := range strings.Lines(string(data)) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - cgroup2 ")
		f := strings.Fields(before)
		if !ok || len(f) < 5 || f[3] != "/" {
			continue
		}
		_, list, _ := strings.Cut(after, " ")
		for option := range strings.SplitSeq(list, ",") {
			if option != "rw" && option != "ro" {
				options = append(options, option)
			}
		}
		return unescape(f[4]), options
	}
	return "", nil
}

func setCgroup2Options(point string, options []string) error {
	mount, err := linux.OpenAt(nil, point, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer mount.Close()
	fs, err := linux.PickFilesystem(mount)
	if err != nil {
		return err
	}
	defer fs.Close()
	for _, option := range options {
		if err := fs.Flag(option); err != nil {
			return err
		}
	}
	return fs.Reconfigure()
}
