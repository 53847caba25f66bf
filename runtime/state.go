package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/cgroup"
	"github.com/ocirt/ocirt/runtime/internal/store"
	"github.com/ocirt/ocirt/spec"
)

// Status is what a container is doing (runtime-spec, runtime, state).
type Status string

// The statuses. Paused is runc's addition, which engines know.
const (
	Creating Status = "creating"
	Created  Status = "created"
	Running  Status = "running"
	Paused   Status = "paused"
	Stopped  Status = "stopped"
)

// State is what `ocirt state` prints, with the keys in this order.
type State struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      Status            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

// A Container is one container of a Runtime. It is used by one goroutine at a time. Close
// releases what it holds open; the container itself does not notice.
type Container struct {
	rt   *Runtime
	root *store.Root // dir is removed through it
	dir  *store.Dir
	rec  *store.Record
	self *created // set by Create in this process
}

// Container finds a container by its id.
func (rt *Runtime) Container(id string) (*Container, error) {
	if err := spec.CheckID(id); err != nil {
		return nil, err
	}
	root, err := rt.open(false)
	if errors.Is(err, unix.ENOENT) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	dir, err := root.Open(id)
	if err != nil {
		root.Close()
		return nil, err
	}
	rec, err := dir.Load()
	if errors.Is(err, store.ErrNoRecord) {
		rec, err = unrecorded(dir, id)
	}
	if err != nil {
		dir.Close()
		root.Close()
		return nil, err
	}
	return &Container{rt: rt, root: root, dir: dir, rec: rec}, nil
}

// unrecorded is the record of a container without one. Its creator has not finished it, or
// was killed; delete was killed just before its end; or somebody has removed the file. The
// intent knows all but config.json.
func unrecorded(dir *store.Dir, id string) (*store.Record, error) {
	rec, err := dir.LoadIntent()
	if err != nil {
		return &store.Record{ID: id, Phase: store.PhaseCreating}, nil
	}
	if rec.Pid == 0 {
		return rec, nil
	}
	whole, err := dir.Load() // it may have been finished since it was looked for
	if errors.Is(err, store.ErrNoRecord) {
		return rec, nil
	}
	return whole, err
}

// Close releases the container's directory and, if it is held, its lock. What the
// container says to its service manager is not passed on any more.
func (c *Container) Close() error {
	if c.self != nil {
		c.self.notify.halt()
		c.self.attendant.close()
		c.self.prelude.close()
		c.self.init.LetGo()
		c.self.init.Close()
	}
	return errors.Join(c.dir.Close(), c.root.Close())
}

// ID is the container's id.
func (c *Container) ID() string { return c.rec.ID }

// Pid is the container's first process in the caller's pid namespace; 0 if there is none.
func (c *Container) Pid() int { return c.rec.Pid }

// Status finds out what the container is doing now. It is derived from its process, its
// start socket and its cgroup, never stored, so it cannot be stale.
func (c *Container) Status() (Status, error) {
	boot, err := store.BootID()
	if err != nil {
		return "", err
	}
	if c.rec.Phase == store.PhaseCreating {
		if c.beingMade() {
			return Creating, nil
		}
		c.complete()
	}
	if c.rec.BootID != boot || c.rec.Pid == 0 {
		return Stopped, nil
	}
	_, alive, err := c.process().Alive()
	if err != nil {
		return "", err
	}
	if !alive {
		return Stopped, nil
	}
	waiting := c.waiting()
	if waiting && c.self != nil {
		return Created, nil // made by us a moment ago, so it need not be asked whether it was paused
	}
	if c.frozen() {
		return Paused, nil
	}
	if waiting {
		return Created, nil
	}
	return Running, nil
}

// complete reads the record of a container that has been made since it was looked for, if it
// has.
func (c *Container) complete() {
	if rec, err := c.dir.Load(); err == nil && c.dir.Verify(rec) == nil {
		c.rec = rec
	}
}

// beingMade reports whether the creator of this container still holds its lock.
func (c *Container) beingMade() bool {
	if c.dir.Locked() {
		return false
	}
	got, err := c.dir.TryLock()
	if got {
		c.dir.Unlock()
	}
	return err == nil && !got
}

func (c *Container) process() store.ProcessID {
	return store.ProcessID{Pid: c.rec.Pid, Start: c.rec.StartTime, Boot: c.rec.BootID}
}

func (c *Container) group() *cgroup.Group {
	return loadGroup(&c.rec.Cgroup, c.rec.Cgroup.Paths)
}

// joinable is the container's group for a further process: without the hierarchies in which
// a rootless container has none.
func (c *Container) joinable() *cgroup.Group {
	if !c.rec.Rootless {
		return c.group()
	}
	paths := map[string]string{}
	for name, dir := range c.rec.Cgroup.Paths {
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
			paths[name] = dir
		}
	}
	return loadGroup(&c.rec.Cgroup, paths)
}

// State is the container's state as engines read it. A container that has stopped has pid
// 0.
func (c *Container) State() (*State, error) {
	status, err := c.Status()
	if err != nil {
		return nil, err
	}
	s := &State{
		OCIVersion: specs.Version, ID: c.rec.ID, Status: status, Bundle: c.rec.Bundle,
		Rootfs: c.rec.Rootfs, Created: c.rec.Created, Annotations: c.annotations(),
	}
	if status != Stopped {
		s.Pid = c.rec.Pid
	}
	return s, nil
}

func (c *Container) annotations() map[string]string {
	b, err := c.intended()
	if err != nil {
		return nil
	}
	return b.Spec.Annotations
}

// bundle is config.json as it was when the container was made.
func (c *Container) bundle() (*spec.Bundle, error) {
	if c.self != nil && c.self.bundle != nil && len(c.rec.IntelRdt) == 0 {
		return c.self.bundle, nil
	}
	b, err := spec.Parse(c.rec.Bundle, c.rec.Config)
	if err != nil {
		return nil, err
	}
	b.Default()
	if len(c.rec.IntelRdt) > 0 && b.Spec.Linux != nil {
		b.Spec.Linux.IntelRdt = new(specs.LinuxIntelRdt)
		if err := json.Unmarshal(c.rec.IntelRdt, b.Spec.Linux.IntelRdt); err != nil {
			return nil, fmt.Errorf("state.json: intel_rdt: %w", err)
		}
	}
	return b, nil
}

// intended is bundle also of a container that has not been made, or not yet: that is in the
// bundle itself. What a container may do is not asked of it, since it can have changed.
func (c *Container) intended() (*spec.Bundle, error) {
	if c.rec.Phase != store.PhaseCreating || len(c.rec.Config) > 0 || c.rec.Bundle == "" {
		return c.bundle()
	}
	b, err := spec.Load(c.rec.Bundle)
	if err != nil {
		return nil, err
	}
	b.Default()
	return b, nil
}
