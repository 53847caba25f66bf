package runtime

import (
	"fmt"
	"os"
	"strconv"

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
func (c *Container) startFault(r entry.Record, b *spec.Bundle, root *os.File) error {
	in := &step.Input{ID: c.rec.ID, Bundle: b, Process: b.Spec.Process, Facts: probe()}
	fault, exec := launch.StartFault(in, r, c.rec.InitCalls-r.Call)
	if !exec {
		return fault
	}
	path := b.Spec.Process.Args[0]
	// The words and their order are matched by engines; the explanation comes after them.
	err := fmt.Errorf("exec %s: %w", path, r.Errno)
	if why := execDenied(in, r.Errno); why != "" {
		return fmt.Errorf("%w: %s", err, why)
	}
	if root != nil {
		if why := process.ExplainExec(root, path, r.Errno, in); why != "" {
			err = fmt.Errorf("%w: %s", err, why)
		}
	}
	return err
}

// openRoot opens the container's root for looking at: as init sees it, with all mounts, or
// else the root file system on the host. It returns nil if there is neither.
func (c *Container) openRoot() *os.File { return openRoot(c.rec.Pid, c.rec.Rootfs) }

func openRoot(pid int, rootfs string) *os.File {
	for _, path := range []string{"/proc/" + strconv.Itoa(pid) + "/root", rootfs} {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), path)
		}
	}
	return nil
}
