package runtime

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/cgroup"
	"github.com/ocirt/ocirt/spec"
)

// smallMemory is a limit under which a program may end while the kernel still loads it.
const smallMemory = 2 << 20

// loadTime is how long that may take, in milliseconds. Containers with such limits wait for
// it.
const loadTime = 5

// blameLimits adds to the error of a container that could not be made or started which of
// its limits it has run into, if it has: the cause itself looks like a process that ended for
// no reason, or a fork that failed.
func blameLimits(g *cgroup.Group, cause error) error {
	short, err := g.Shortage()
	switch {
	case err != nil || short == nil:
		return cause
	case short.Kills > 0:
		// The first words are runc's.
		return fmt.Errorf("%w: container init was OOM-killed (memory limit too low?): %s", cause, short)
	}
	return fmt.Errorf("%w: %s", cause, short)
}

// smallMemoryOf reports whether a container has such a limit.
func smallMemoryOf(b *spec.Bundle) bool {
	l := b.Spec.Linux
	if l == nil || l.Resources == nil || l.Resources.Memory == nil {
		return false
	}
	m := l.Resources.Memory.Limit
	return m != nil && *m > 0 && *m <= smallMemory
}

// loaded is asked when init has begun to execute the container's program. With a small limit
// for memory it may not get far.
func (c *Container) loaded(b *spec.Bundle) error {
	if !smallMemoryOf(b) {
		return nil
	}
	pidfd, err := c.process().Open()
	if err == nil {
		defer unix.Close(pidfd)
		n, pollErr := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, loadTime)
		if n == 0 || pollErr != nil {
			return nil
		}
	}
	if kills, err := c.group().OOMKills(); err != nil || kills == 0 {
		return nil //nolint:nilerr // it has simply ended
	}
	return blameLimits(c.group(), fmt.Errorf("exec %s", b.Spec.Process.Args[0]))
}
