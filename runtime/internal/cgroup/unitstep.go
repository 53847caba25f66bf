package cgroup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd"
	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// StartUnit lets systemd make the container's groups, as a transient unit, and put init into
// them. Systemd starts no scope without a process, so init has been born and waits. The
// container's limits come later, with [LimitGroups]: they would starve its building.
type StartUnit struct {
	Name  string
	Slice string
}

// compileUnit compiles linux.cgroupsPath, and the annotations about the unit, where systemd
// makes the groups.
func compileUnit(in *step.Input, emit step.Emit) error {
	from := "ocirt"
	if l := in.Bundle.Spec.Linux; l != nil && l.CgroupsPath != "" {
		from = "/linux/cgroupsPath"
	}
	s := StartUnit{in.Unit.Name, in.Unit.Slice}
	if _, err := annotated(in.Bundle.Spec.Annotations); err != nil {
		return err
	}
	emit(from, s)
	return nil
}

func (s StartUnit) String() string {
	return fmt.Sprintf("start systemd unit %s in %s", s.Name, s.Slice)
}

// Do starts the unit.
func (s StartUnit) Do(h *step.Host) error {
	u, err := startedUnit(h)
	if err != nil {
		return err
	}
	m := u.Manager
	paths := PathsOf(h.Input.Cgroups)
	dir, ok := trackingDir(paths)
	if !ok {
		return errors.New("unable to apply cgroup configuration: there is no cgroup hierarchy that systemd looks after")
	}
	if err := checkUnit(paths, dir); err != nil {
		return err
	}
	list, err := s.properties(h, m)
	if err != nil {
		return err
	}
	h.Made = PlanUnit(paths)
	if err := m.Start(s.Name, list); err != nil {
		var exists *systemd.ExistsError
		if errors.As(err, &exists) {
			h.Made = nil // it is somebody else's
		}
		return fmt.Errorf("unable to apply cgroup configuration: %w", err)
	}
	if err := s.place(h, paths, dir); err != nil {
		return fmt.Errorf("unable to apply cgroup configuration: %w", err)
	}
	return nil
}

// checkUnit refuses a group in which there is somebody already, or in which init would not
// get any further.
func checkUnit(paths map[string]string, dir string) error {
	if err := checkEmpty(dir); err != nil {
		return err
	}
	for name, dir := range paths {
		if name != "" && !hasController(name, "freezer") {
			continue
		}
		for !exists(dir) {
			dir = path.Dir(dir)
		}
		if err := checkThawed(name, dir); err != nil {
			return err
		}
	}
	return nil
}

// place completes what systemd has done: processes are put into a slice by hand, and the
// hierarchies of v1 and the controllers that it does not care for are ours.
func (s StartUnit) place(h *step.Host, paths map[string]string, dir string) error {
	pid := strconv.Itoa(h.Pid)
	if strings.HasSuffix(s.Name, ".slice") {
		if err := writeIn(dir, "cgroup.procs", pid); err != nil {
			return pathError("put init into", dir, err)
		}
	}
	mounts := make(map[string]string, len(h.Input.Cgroups))
	for _, g := range h.Input.Cgroups {
		mounts[g.Name] = g.Mount
	}
	if err := placed(h.Pid, paths, mounts); err != nil {
		return err
	}
	if h.Input.Options.Rootless {
		return nil
	}
	c := &creation{Group{Paths: paths}, len(paths) == 1}
	if c.pureV2 {
		enableControllers(path.Dir(dir))
		return nil
	}
	for _, name := range names(paths) {
		if err := c.makeDir(paths[name], name); err != nil {
			return err
		}
		if hasController(name, "cpuset") {
			if err := fillCpuset(paths[name], false); err != nil {
				return err
			}
		}
	}
	var err error
	h.Tasks, err = c.JoinFiles()
	return err
}

// Undo stops the unit and removes what else there is of the groups.
func (s StartUnit) Undo(h *step.Host) error {
	if len(h.Made) == 0 {
		return nil
	}
	g := Load(PathsOf(h.Input.Cgroups), h.Made)
	var err error
	if g.Unit, err = startedUnit(h); err != nil {
		return err
	}
	return g.Remove(context.Background())
}

// startedUnit is the unit of a container that is being made, with the connection that there
// is.
func startedUnit(h *step.Host) (*Unit, error) {
	m, ok := h.Systemd.(*systemd.Manager)
	if !ok {
		return nil, errors.New("bug in ocirt: no connection to systemd")
	}
	return &Unit{Name: h.Input.Unit.Name, User: m.User, Manager: m}, nil
}

// properties are those that the unit is started with.
func (s StartUnit) properties(h *step.Host, m *systemd.Manager) ([]systemd.Property, error) {
	given, err := annotated(h.Input.Bundle.Spec.Annotations)
	if err != nil {
		return nil, err
	}
	yes := dbus.Bool(true)
	list := []systemd.Property{{Name: "Description", Value: dbus.String("ocirt container " + h.Input.ID)}}
	if strings.HasSuffix(s.Name, ".slice") {
		list = append(list, systemd.Property{Name: "Wants", Value: dbus.Strings(s.Slice)})
	} else {
		list = append(list,
			systemd.Property{Name: "Slice", Value: dbus.String(s.Slice)},
			systemd.Property{Name: "Delegate", Value: yes},
			systemd.Property{Name: "PIDs", Value: dbus.Array{Elem: "u", Items: []dbus.Value{dbus.Uint32(h.Pid)}}})
	}
	io := "IOAccounting"
	if _, ok := PathsOf(h.Input.Cgroups)[""]; !ok || len(h.Input.Cgroups) > 1 {
		io = "BlockIOAccounting"
	}
	for _, name := range []string{"MemoryAccounting", "CPUAccounting", io, "TasksAccounting"} {
		list = append(list, systemd.Property{Name: name, Value: yes})
	}
	// The container ends when its runtime says so, not with the host's targets.
	list = append(list, systemd.Property{Name: "DefaultDependencies", Value: dbus.Bool(false)})
	if m.Version >= 236 { // a unit that ends in failure is not kept for somebody to look at
		list = append(list, systemd.Property{Name: "CollectMode", Value: dbus.String("inactive-or-failed")})
	}
	if policy := oomPolicy(h.Input); policy != "" && m.Version >= 253 && !strings.HasSuffix(s.Name, ".slice") {
		list = append(list, systemd.Property{Name: "OOMPolicy", Value: dbus.String(policy)})
	}
	for _, p := range given {
		list = slices.DeleteFunc(list, func(q systemd.Property) bool { return q.Name == p.Name })
		list = append(list, p)
	}
	return list, nil
}

// oomPolicy is what systemd calls memory.oom.group. It can be said only when a unit starts.
func oomPolicy(in *step.Input) string {
	l := in.Bundle.Spec.Linux
	if l == nil || l.Resources == nil {
		return ""
	}
	return oomWord(l.Resources.Unified[oomGroup])
}

// annotationPrefix begins the annotations that are properties of the unit.
const annotationPrefix = "org.systemd.property."

// CheckAnnotations reports what is wrong with the annotations that are properties of a unit.
func CheckAnnotations(annotations map[string]string) error {
	_, err := annotated(annotations)
	return err
}

// annotated reads the properties that annotations ask for. Which ones may be asked for has
// been checked with all of config.json.
func annotated(annotations map[string]string) ([]systemd.Property, error) {
	var list []systemd.Property
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ok := strings.CutPrefix(key, annotationPrefix)
		if !ok {
			continue
		}
		p, err := systemd.ParseProperty(name, annotations[key])
		if err != nil {
			var bad *systemd.NameError
			if errors.As(err, &bad) {
				err = fmt.Errorf("annotation %s name incorrect: %w", key, err)
			} else {
				err = fmt.Errorf("annotation %s=%s value parse error: %w", key, annotations[key], err)
			}
			return nil, &step.Error{From: "/annotations/" + key, Where: "host", Err: err}
		}
		list = append(list, p)
	}
	return list, nil
}
