package rdt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Intent says which groups a container's create will make and its delete must remove: it
// is asked before anything is made, so that delete knows even if create is killed. A
// group of the caller's, or one that is there already, is not among them.
func Intent(id string, c *specs.LinuxIntelRdt) ([]string, error) {
	if c == nil {
		return nil, nil
	}
	t, err := mounted()
	if err != nil {
		return nil, err
	}
	return intent(t, id, c), nil
}

func intent(t tree, id string, c *specs.LinuxIntelRdt) []string {
	var dirs []string
	p := PlaceOf(id, c)
	if _, err := os.Lstat(p.dir(t)); p.Own && errors.Is(err, fs.ErrNotExist) {
		dirs = append(dirs, p.dir(t))
	}
	if p.Monitor != "" {
		if _, err := os.Lstat(p.monitor(t)); errors.Is(err, fs.ErrNotExist) {
			dirs = append(dirs, p.monitor(t))
		}
	}
	return dirs
}

// Remove removes groups by the names that Intent and Update gave: the last first. One that
// has gone is no error. Other directories than groups are refused.
func Remove(dirs []string) error {
	if len(dirs) == 0 {
		return nil
	}
	t, err := mounted()
	if errors.Is(err, errNone) {
		return nil // it has been unmounted, and with it all groups are gone
	}
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if !t.holds(dir) {
			return fmt.Errorf("cannot remove %q: it is no resource group", dir)
		}
	}
	return remove(dirs)
}

// holds reports whether a directory can be a group or a monitoring group.
func (t tree) holds(dir string) bool {
	rest, ok := strings.CutPrefix(dir, string(t)+"/")
	if !ok || filepath.Clean(dir) != dir {
		return false
	}
	parts := strings.Split(rest, "/")
	if parts[0] == "mon_groups" { // of the default group
		parts = append([]string{""}, parts...)
	}
	switch len(parts) {
	case 1:
		return parts[0] != "info" && parts[0] != "mon_data"
	case 3:
		return parts[1] == "mon_groups"
	}
	return false
}

func remove(dirs []string) error {
	var errs []error
	for _, dir := range slices.Backward(dirs) {
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, &os.PathError{Op: "rmdir", Path: dir, Err: err})
		}
	}
	return errors.Join(errs...)
}

// A Change is what update wants of a container.
type Change struct {
	ID     string
	Config *specs.LinuxIntelRdt // as it is now; nil: the container has no group yet
	Pids   []int                // all processes of the container: they move to a group that is made

	L3Cache, MemBandwidth string // new schemata; empty: unchanged
}

// Update changes the schemata of a container. A container without a group gets one; then
// its directory is returned, for the record of what delete must remove. The returned
// configuration is what is to be stored.
func Update(c Change) (config *specs.LinuxIntelRdt, made []string, err error) {
	if c.L3Cache == "" && c.MemBandwidth == "" {
		return c.Config, nil, nil
	}
	t, err := mounted()
	if errors.Is(err, errNone) && c.L3Cache != "" {
		err = fmt.Errorf("%w: %w", errNoL3, err)
	} else if errors.Is(err, errNone) {
		err = fmt.Errorf("%w: %w", errNoMB, err)
	}
	if err != nil {
		return c.Config, nil, err
	}
	return update(t, c)
}

func update(t tree, c Change) (config *specs.LinuxIntelRdt, made []string, err error) {
	asked := &specs.LinuxIntelRdt{L3CacheSchema: c.L3Cache, MemBwSchema: c.MemBandwidth}
	if err := t.available(asked); err != nil {
		return c.Config, nil, err
	}
	next := specs.LinuxIntelRdt{}
	if c.Config != nil {
		next = *c.Config
	}
	place := PlaceOf(c.ID, &next)
	dir := place.dir(t)
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(made))
			made = nil
		}
	}()
	if place.Group != "" {
		isNew, err := t.mkdir(dir)
		if err != nil {
			return c.Config, nil, err
		}
		if isNew {
			made = append(made, dir)
		}
	}
	for _, line := range linesOf(asked) {
		if err := t.write(filepath.Join(dir, "schemata"), line+"\n"); err != nil {
			return c.Config, made, fmt.Errorf("cannot write %q to the schemata of %s: %w", line, place.name(), err)
		}
	}
	if len(made) > 0 {
		for _, pid := range c.Pids {
			if err := place.assign(t, pid); err != nil {
				return c.Config, made, err
			}
		}
	}
	if c.L3Cache != "" {
		next.L3CacheSchema = c.L3Cache
	}
	if c.MemBandwidth != "" {
		next.MemBwSchema = c.MemBandwidth
	}
	return &next, made, nil
}
