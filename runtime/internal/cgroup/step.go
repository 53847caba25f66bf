package cgroup

import (
	"context"
	"fmt"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// MakeGroups makes the container's group in every hierarchy, and gives the launcher what
// init joins them with.
type MakeGroups struct {
	Path  string // as config.json has it, or the id
	Asked bool   // there must be a group: config.json asks for a path or for limits
}

// Compile compiles linux.cgroupsPath, and the need for a group if there is no path.
func Compile(in *step.Input, emit step.Emit) error {
	if len(in.Cgroups) == 0 {
		return nil
	}
	if in.Unit.Name != "" {
		return compileUnit(in, emit)
	}
	s, from := MakeGroups{Path: in.ID}, "ocirt"
	l := in.Bundle.Spec.Linux
	switch {
	case l != nil && l.CgroupsPath != "":
		s, from = MakeGroups{Path: l.CgroupsPath, Asked: true}, "/linux/cgroupsPath"
	case l != nil && l.Resources != nil && !onlyDevices(limited(l.Resources)):
		s.Asked = true
	}
	emit(from, s)
	return nil
}

func (s MakeGroups) String() string { return fmt.Sprintf("create cgroup %q", s.Path) }

// PathsOf are the directories of a container's groups by the name of their hierarchy.
func PathsOf(groups []step.Cgroup) map[string]string {
	paths := make(map[string]string, len(groups))
	for _, g := range groups {
		paths[g.Name] = g.Path
	}
	return paths
}

// MountsOf is where the hierarchies of a container's groups are mounted, by their name.
func MountsOf(groups []step.Cgroup) map[string]string {
	mounts := make(map[string]string, len(groups))
	for _, g := range groups {
		mounts[g.Name] = g.Mount
	}
	return mounts
}

// Do makes the groups.
func (s MakeGroups) Do(h *step.Host) (err error) {
	g, err := Create(PathsOf(h.Input.Cgroups), Options{Rootless: h.Input.Options.Rootless, Asked: s.Asked})
	if err != nil {
		return err
	}
	h.Made = g.Made
	if h.Tasks, err = g.JoinFiles(); err != nil {
		return err
	}
	h.CgroupFD, err = g.CgroupFD()
	return err
}

// Undo removes the groups that Do made.
func (s MakeGroups) Undo(h *step.Host) error {
	return Load(PathsOf(h.Input.Cgroups), h.Made).Remove(context.Background())
}
