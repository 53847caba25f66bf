package rdt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// The words of runc, which callers may look for.
var (
	//nolint:staticcheck // contract words begin with a name
	errNoL3 = errors.New("Intel RDT/CAT: l3 cache schema is not enabled")
	//nolint:staticcheck // the same
	errNoMB = errors.New("Intel RDT/MBA: memory bandwidth schema is not enabled")
)

// A Place is where in the resctrl file system a container is.
type Place struct {
	Group   string // from the root of the file system; "" is the root itself
	Own     bool   // Group is named by the container's id: it goes with the container
	Monitor string // the name of its monitoring group; empty: none
}

// PlaceOf is the place of a container that asks for one.
func PlaceOf(id string, c *specs.LinuxIntelRdt) Place {
	p := Place{Group: strings.Trim(c.ClosID, "/"), Own: c.ClosID == ""}
	if p.Own {
		p.Group = id
	}
	if c.EnableMonitoring {
		p.Monitor = id
	}
	return p
}

func (p Place) dir(t tree) string { return t.path(p.Group) }

func (p Place) monitor(t tree) string { return t.path(p.Group, "mon_groups", p.Monitor) }

func (p Place) name() string {
	if p.Group == "" {
		return "the default resource group"
	}
	return "resource group " + p.Group
}

// PrepareGroup makes the container's resource group, or looks whether it is there, and
// writes its schemata.
type PrepareGroup struct {
	Place   Place
	Lines   []string
	L3, MB  bool // the lines are for the cache, for the bandwidth
	Created bool // the group must be there if there are no lines
}

// AssignInit puts the container's first process into its group; those that it starts
// follow it.
type AssignInit struct{ Place Place }

// JoinGroup puts a further process of the container into the group.
type JoinGroup struct{ Place Place }

func configOf(in *step.Input) *specs.LinuxIntelRdt {
	if l := in.Bundle.Spec.Linux; l != nil {
		return l.IntelRdt
	}
	return nil
}

// Groups compiles linux.intelRdt: what is there before the container has a process.
func Groups(in *step.Input, emit step.Emit) error {
	c := configOf(in)
	if c == nil {
		return nil
	}
	lines := linesOf(c)
	emit("/linux/intelRdt", PrepareGroup{
		Place: PlaceOf(in.ID, c), Lines: lines, L3: c.L3CacheSchema != "", MB: c.MemBwSchema != "",
		Created: c.ClosID != "" && len(lines) == 0,
	})
	return nil
}

// Assign compiles linux.intelRdt for the container's first process.
func Assign(in *step.Input, emit step.Emit) error {
	if c := configOf(in); c != nil {
		emit("/linux/intelRdt", AssignInit{PlaceOf(in.ID, c)})
	}
	return nil
}

// Join compiles linux.intelRdt for a further process, before it joins the container.
func Join(in *step.Input, emit step.Emit) error {
	if c := configOf(in); c != nil {
		emit("/linux/intelRdt", JoinGroup{PlaceOf(in.ID, c)})
	}
	return nil
}

func (s PrepareGroup) String() string {
	text := "prepare " + s.Place.name()
	if len(s.Lines) > 0 {
		text += " (" + strings.Join(s.Lines, ", ") + ")"
	}
	if s.Place.Monitor != "" {
		text += " and monitoring group " + s.Place.Monitor
	}
	return text
}

func (s AssignInit) String() string { return "move init to " + s.Place.name() }

func (s JoinGroup) String() string { return "join " + s.Place.name() }

// Do makes what is missing.
func (s PrepareGroup) Do(h *step.Host) error {
	t, err := mounted()
	if err != nil {
		return err
	}
	return s.do(t, h)
}

func (s PrepareGroup) do(t tree, h *step.Host) error {
	if s.L3 && !t.has("L3", "L3CODE", "L3DATA") {
		return errNoL3
	}
	if s.MB && !t.has("MB", "SMBA") {
		return errNoMB
	}
	dir := s.Place.dir(t)
	made := false
	if s.Created {
		if _, err := os.Stat(dir); err != nil {
			// Not the errno's words: engines would take them for a missing program.
			return fmt.Errorf("there is no %s, and no schema to make it with", s.Place.name())
		}
	} else if s.Place.Group != "" {
		var err error
		if made, err = t.mkdir(dir); err != nil {
			return err
		}
		if made {
			h.ResctrlMade = append(h.ResctrlMade, dir)
		}
	}
	if err := s.schemata(t, dir, made); err != nil {
		return err
	}
	if s.Place.Monitor == "" {
		return nil
	}
	if made, err := t.mkdir(s.Place.monitor(t)); err != nil {
		return fmt.Errorf("cannot make a monitoring group: %w", err)
	} else if made {
		h.ResctrlMade = append(h.ResctrlMade, s.Place.monitor(t))
	}
	return nil
}

// schemata writes the lines. A group of the caller's that was there before must have them
// already (runtime-spec, config-linux, intelRdt).
func (s PrepareGroup) schemata(t tree, dir string, made bool) error {
	if len(s.Lines) == 0 {
		return nil
	}
	if !made && !s.Place.Own {
		differs, err := t.differs(dir, s.Lines)
		if err != nil {
			return err
		}
		if differs != "" {
			return fmt.Errorf("%s exists, and its schemata do not match: %s", s.Place.name(), differs)
		}
		return nil
	}
	for _, line := range s.Lines {
		if err := t.write(filepath.Join(dir, "schemata"), line+"\n"); err != nil {
			return fmt.Errorf("cannot write %q to its schemata: %w", line, err)
		}
	}
	return nil
}

// Undo removes what Do has made, even if it is the caller's by name: a create that failed
// leaves nothing. After create, Remove does.
func (s PrepareGroup) Undo(h *step.Host) error {
	err := remove(h.ResctrlMade)
	if err == nil {
		h.ResctrlMade = nil
	}
	return err
}

// Do moves the process.
func (s AssignInit) Do(h *step.Host) error {
	t, err := mounted()
	if err != nil {
		return err
	}
	return s.do(t, h)
}

func (s AssignInit) do(t tree, h *step.Host) error { return s.Place.assign(t, h.Pid) }

// assign moves a process to the group and then to its monitoring group, which takes only
// members of the group that it is in.
func (p Place) assign(t tree, pid int) error {
	if err := t.addPid(p.dir(t), pid); err != nil {
		return err
	}
	if p.Monitor == "" {
		return nil
	}
	return t.addPid(p.monitor(t), pid)
}

// Undo has nothing to do: the kernel forgets processes that have ended.
func (AssignInit) Undo(*step.Host) error { return nil }

// Lower writes the calls: a process that writes 0 moves itself.
func (s JoinGroup) Lower(i *step.Init) error {
	t, err := mounted()
	if err != nil {
		return err
	}
	s.lower(t, i.Program)
	return nil
}

func (s JoinGroup) lower(t tree, p *entry.Program) {
	dirs := []string{s.Place.dir(t)}
	if s.Place.Monitor != "" {
		dirs = append(dirs, s.Place.monitor(t))
	}
	for _, dir := range dirs {
		file := filepath.Join(dir, "tasks")
		fd := p.Call(unix.SYS_OPENAT, unix.AT_FDCWD, p.String(file), unix.O_WRONLY|unix.O_CLOEXEC, 0).Label("open " + file).Keep()
		p.Call(unix.SYS_WRITE, fd, p.String("0"), 1).Label("write " + file)
		p.Call(unix.SYS_CLOSE, fd).Label("close " + file)
	}
}
