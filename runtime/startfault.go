package runtime

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/process"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// startFault explains why init could not become the container's program. Which call of
// init's program failed is counted from its end, because the beginning depends on what
// Create found on the host.
func (c *Container) startFault(r entry.Record, b *spec.Bundle) error {
	in := &step.Input{ID: c.rec.ID, Bundle: b, Process: b.Spec.Process, Facts: probe()}
	fault, exec := launch.StartFault(in, r, c.rec.InitCalls-r.Call)
	if !exec {
		return fault
	}
	path := b.Spec.Process.Args[0]
	// The words and their order are matched by engines; the explanation comes after them.
	err := fmt.Errorf("exec %s: %w", path, r.Errno)
	if root, rootErr := c.openRoot(); rootErr == nil {
		defer root.Close()
		if why := process.ExplainExec(root, path, r.Errno, in); why != "" {
			err = fmt.Errorf("%w: %s", err, why)
		}
	}
	return err
}

// openRoot opens the container's root file system on the host, for looking at only. Mounts
// of the container are not seen through it; those of its image are.
func (c *Container) openRoot() (*os.File, error) {
	fd, err := unix.Open(c.rec.Rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), c.rec.Rootfs), nil
}
