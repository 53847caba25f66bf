package runtime

import (
	"fmt"

	"github.com/ocirt/ocirt/runtime/internal/cgroup"
	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/store"
	"github.com/ocirt/ocirt/spec"
)

// A CgroupManager is who makes a container's cgroups. It is asked for when a container is
// created; from then on the container's record knows.
type CgroupManager string

// The managers.
const (
	Cgroupfs        CgroupManager = "cgroupfs" // ocirt itself, by directories and files
	SystemdCgroups  CgroupManager = "systemd"  // systemd, the system's or the user's, as transient units
	DisabledCgroups CgroupManager = "disabled" // nobody: the container stays in its creator's
)

// WithCgroupManager says who makes the cgroups of new containers; the default is Cgroupfs.
func WithCgroupManager(m CgroupManager) Option { return func(rt *Runtime) { rt.cgroups = m } }

// placeCgroups decides where the container's groups will be. With systemd it returns a
// connection, which is the caller's to close; nothing has been asked to be made.
func (rt *Runtime) placeCgroups(in *step.Input) (step.Systemd, error) {
	var err error
	switch rt.cgroups {
	case "", Cgroupfs:
		in.Cgroups, err = cgroups(in.Bundle, in.ID, in.Options.Rootless)
		return nil, err
	case DisabledCgroups:
		in.Options.NoCgroups = true
		return nil, nil
	case SystemdCgroups:
	default:
		return nil, fmt.Errorf("invalid cgroup-manager: %s", rt.cgroups)
	}
	// What is wrong with the names is said before anybody is asked.
	if err := placeUnit(in, "", 0, in.Facts.EUID != 0); err != nil {
		return nil, err
	}
	m, err := cgroup.ConnectSystemd()
	if err != nil {
		return nil, fmt.Errorf("--systemd-cgroup: %w", err)
	}
	if err := placeUnit(in, m.ControlGroup, m.Version, m.User); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// placeUnit decides where the groups of the container's unit will be, of a systemd of this
// version that manages from the cgroup control.
func placeUnit(in *step.Input, control string, version int, user bool) error {
	if err := cgroup.CheckAnnotations(in.Bundle.Spec.Annotations); err != nil {
		return err
	}
	u, err := systemd.NewUnit(cgroupsPath(in.Bundle), in.ID, user)
	if err != nil {
		return err
	}
	in.Unit = step.Unit{Name: u.Name, Slice: u.Slice}
	hierarchies, err := cgroup.Hierarchies()
	if err != nil {
		return err
	}
	in.Cgroups = listed(hierarchies, cgroup.UnitPaths(u, control, version, hierarchies))
	return nil
}

// explainCgroups is placeCgroups for a container that will not be made: nobody is asked.
func (rt *Runtime) explainCgroups(in *step.Input) error {
	if rt.cgroups != SystemdCgroups {
		_, err := rt.placeCgroups(in)
		return err
	}
	user := in.Facts.EUID != 0
	return placeUnit(in, conventional(user), 0, user)
}

// conventional is where systemd manages from on a host that nobody has arranged otherwise.
func conventional(user bool) string {
	if user {
		return cgroup.UserControlGroup()
	}
	return ""
}

// cgroups decides where the container's groups will be if ocirt makes them.
func cgroups(b *spec.Bundle, id string, rootless bool) ([]step.Cgroup, error) {
	hierarchies, err := cgroup.Hierarchies()
	if err != nil {
		return nil, err
	}
	paths, err := cgroup.Paths(cgroupsPath(b), id, hierarchies, rootless)
	if err != nil {
		return nil, err
	}
	return listed(hierarchies, paths), nil
}

func cgroupsPath(b *spec.Bundle) string {
	if b.Spec.Linux == nil {
		return ""
	}
	return b.Spec.Linux.CgroupsPath
}

// listed are the groups in the order of their hierarchies.
func listed(hierarchies []cgroup.Hierarchy, paths map[string]string) []step.Cgroup {
	list := make([]step.Cgroup, 0, len(paths))
	for _, h := range hierarchies {
		if dir, ok := paths[h.Name]; ok {
			list = append(list, step.Cgroup{Name: h.Name, Mount: h.Mount, Path: dir})
		}
	}
	return list
}

// cgroupRecord is what is remembered of the groups before there are any.
func (m *making) cgroupRecord() store.CgroupRecord {
	in := m.input
	paths := cgroup.PathsOf(in.Cgroups)
	rec := store.CgroupRecord{Manager: "cgroupfs", Path: cgroupsPath(in.Bundle), Paths: paths}
	switch {
	case in.Options.NoCgroups:
		rec.Manager = "none"
	case in.Unit.Name != "":
		rec.Manager, rec.Unit = "systemd", in.Unit.Name
		rec.User = m.host.Systemd.(*systemd.Manager).User
		rec.Made = cgroup.PlanUnit(paths)
	default:
		rec.Made = cgroup.Plan(paths, cgroup.MountsOf(in.Cgroups))
	}
	return rec
}

// disconnect ends the connection to systemd, if there is one.
func (m *making) disconnect() {
	if m.host.Systemd != nil {
		m.host.Systemd.Close()
	}
}

// loadGroup is the group that a record describes.
func loadGroup(rec *store.CgroupRecord, paths map[string]string) *cgroup.Group {
	g := cgroup.Load(paths, rec.Made)
	if rec.Unit != "" {
		g.Unit = &cgroup.Unit{Name: rec.Unit, User: rec.User}
	}
	return g
}

// lost guesses the record of a container that has none: the default cgroups of its id.
func (rt *Runtime) lost(id string) (*store.Record, error) {
	rec := &store.Record{ID: id}
	hierarchies, err := cgroup.Hierarchies()
	if err != nil {
		return nil, err
	}
	user := probe().EUID != 0
	if rt.cgroups == SystemdCgroups {
		u, err := systemd.NewUnit("", id, user)
		if err != nil {
			return nil, err
		}
		rec.Cgroup = store.CgroupRecord{Unit: u.Name, User: user, Paths: cgroup.UnitPaths(u, conventional(user), 0, hierarchies)}
	} else {
		paths, err := cgroup.Paths("", id, hierarchies, user)
		if err != nil {
			return nil, fmt.Errorf("cannot guess the cgroups of %s: %w", id, err)
		}
		rec.Cgroup.Paths = paths
	}
	for _, dir := range rec.Cgroup.Paths {
		rec.Cgroup.Made = append(rec.Cgroup.Made, dir)
	}
	return rec, nil
}
