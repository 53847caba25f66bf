package cgroup

import (
	"errors"
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The files are written here and not through github.com/opencontainers/cgroups: the
// initialisers of that module's managers cost every start of the program 0.2 to 0.4 ms, a
// fifth of a container, and what is left to do is a table.

// A setting is one value for one file of the container's group.
type setting struct {
	from       string // the property below linux.resources
	controller string // "" for a key of unified, which is its own
	file       string
	value      string
	orFile     string // to be used if there is no file
	orValue    string
	may        bool // no file is no error
}

// Set writes the limits and the device rules of a new container. Nothing is left out: a
// limit that this host cannot give is an error that names its property.
func (g *Group) Set(r *specs.LinuxResources) error {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	if err := g.Update(r); err != nil {
		return err
	}
	return g.setDevices(r.Devices)
}

// Update writes those limits that are given. It does not touch the device rules: config.json
// has the whole list of them and an update would have only a part.
func (g *Group) Update(r *specs.LinuxResources) error {
	settings, err := g.settings(r)
	if err != nil || len(settings) == 0 {
		return err
	}
	if len(g.Paths) == 0 {
		return fmt.Errorf("linux.resources.%s: cannot be set: the container has no cgroup of its own", settings[0].from)
	}
	if err := g.checkUsage(r.Memory); err != nil {
		return err
	}
	// Some values must not contradict others at any moment, such as the limit for memory and
	// that for memory with swap, and which one has to go first depends on what they are now.
	// So what is refused is tried again after the others.
	var refused []setting
	for _, s := range settings {
		err := g.write(s)
		if errors.Is(cause(err), unix.EINVAL) {
			refused = append(refused, s)
			continue
		}
		if err != nil {
			return err
		}
	}
	for _, s := range refused {
		if err := g.write(s); err != nil {
			return err
		}
	}
	return nil
}

// settings translates limits for this group's kind of host.
func (g *Group) settings(r *specs.LinuxResources) ([]setting, error) {
	if g.pureV2() {
		return settingsV2(r)
	}
	return settingsV1(r)
}

func (g *Group) pureV2() bool {
	_, ok := g.Paths[""]
	return ok && len(g.Paths) == 1
}

// write carries out one setting.
func (g *Group) write(s setting) error {
	controller := s.controller
	if controller == "" {
		controller, _, _ = strings.Cut(s.file, ".")
	}
	dir, _, ok := g.Dir(controller)
	if !ok {
		if s.may {
			return nil
		}
		return fmt.Errorf("linux.resources.%s: controller %q is not available", s.from, controller)
	}
	file := s.file
	var err error
	for line := range strings.SplitSeq(s.value, "\n") {
		if err = writeIn(dir, file, line); err != nil {
			break
		}
	}
	if errors.Is(err, unix.ENOENT) && s.orFile != "" {
		file = s.orFile
		err = writeIn(dir, file, s.orValue)
	}
	switch {
	case err == nil || errors.Is(err, unix.ENOENT) && s.may:
		return nil
	case errors.Is(err, unix.ENOENT) && g.hasFilesOf(dir, controller):
		return fmt.Errorf("linux.resources.%s: cannot be set: the kernel has no %s: %w", s.from, file, err)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("linux.resources.%s: controller %q is not available in cgroup %s", s.from, controller, dir)
	case errors.Is(err, unix.EBUSY) && s.from == "memory.limit":
		return fmt.Errorf("linux.resources.memory.limit: unable to set memory limit to %s (%s): %w", s.value, usage(dir), err)
	}
	return fmt.Errorf("linux.resources.%s: cannot write %q to %s of cgroup %s: %w", s.from, s.value, file, dir, err)
}

// hasFilesOf tells whether a controller is at work in a group at all: any hierarchy of v1
// is, a v2 group says so.
func (g *Group) hasFilesOf(dir, controller string) bool {
	if !g.pureV2() {
		return true
	}
	text, err := readIn(dir, "cgroup.controllers")
	if err != nil {
		return false
	}
	for name := range strings.FieldsSeq(text) {
		if name == controller {
			return true
		}
	}
	return false
}

// usage tells what stands against a smaller limit (v1 refuses one; v2 kills instead).
func usage(dir string) string {
	now, err := readIn(dir, "memory.usage_in_bytes")
	peak, err2 := readIn(dir, "memory.max_usage_in_bytes")
	if errors.Join(err, err2) != nil {
		return "usage unknown"
	}
	return "current usage: " + strings.TrimSpace(now) + ", peak usage: " + strings.TrimSpace(peak)
}

// checkUsage carries out memory.checkBeforeUpdate, which is about v2, where a limit below
// what is used kills.
func (g *Group) checkUsage(m *specs.LinuxMemory) error {
	if m == nil || m.CheckBeforeUpdate == nil || !*m.CheckBeforeUpdate || !g.pureV2() {
		return nil
	}
	used, err := readNumber(g.Paths[""], "memory.current")
	if err != nil {
		return pathError("read memory.current of", g.Paths[""], err)
	}
	if m.Swap != nil && *m.Swap > 0 {
		swapped, err := readNumber(g.Paths[""], "memory.swap.current")
		if err == nil && *m.Swap <= used+swapped {
			return fmt.Errorf("linux.resources.memory.swap: rejecting memory+swap limit %d <= usage %d", *m.Swap, used+swapped)
		}
	}
	if m.Limit != nil && *m.Limit > 0 && *m.Limit <= used {
		return fmt.Errorf("linux.resources.memory.limit: rejecting memory limit %d <= usage %d", *m.Limit, used)
	}
	return nil
}
