package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// LimitGroups writes the container's limits and device rules into its groups. The step is a
// sentence; the values are read from config.json when it is done.
type LimitGroups struct{ What string }

// Limits compiles linux.resources. It stands last in the sandbox section: a limit that is
// smaller than what building takes must not starve the building.
func Limits(in *step.Input, emit step.Emit) error {
	l := in.Bundle.Spec.Linux
	if l == nil || l.Resources == nil {
		return nil
	}
	what := limited(l.Resources)
	if in.Options.NoCgroups {
		if onlyDevices(what) {
			return nil // engines send their device rules in any case
		}
		err := fmt.Errorf("linux.resources: cannot limit %s: the container gets no cgroup (--cgroup-manager disabled)", strings.Join(what, ", "))
		return &step.Error{From: "/linux/resources", Where: "host", Err: err}
	}
	if len(what) > 0 {
		emit("/linux/resources", LimitGroups{strings.Join(what, ", ")})
	}
	return nil
}

// limited names the parts of resources that are there.
func limited(r *specs.LinuxResources) (what []string) {
	for _, p := range []struct {
		name  string
		there bool
	}{
		{"devices", len(r.Devices) > 0},
		{"memory", r.Memory != nil},
		{"cpu", r.CPU != nil},
		{"pids", r.Pids != nil},
		{"block I/O", r.BlockIO != nil},
		{"huge pages", len(r.HugepageLimits) > 0},
		{"network", r.Network != nil},
		{"rdma", len(r.Rdma) > 0},
		{"unified", len(r.Unified) > 0},
	} {
		if p.there {
			what = append(what, p.name)
		}
	}
	return what
}

func (s LimitGroups) String() string { return "limit " + s.What }

// BesideInit reports whether the limits can be written while init prepares itself. It opens
// no device; but what memory it has decides about a limit of memory, and a share of real
// time or of processors about its scheduler.
func (s LimitGroups) BesideInit() bool { return s.What == "devices" }

// errNoGroup is for limits without a place to write them.
var errNoGroup = errors.New("rootless needs no limits + no cgrouppath when no permission is granted for cgroups")

// Do writes the limits.
func (s LimitGroups) Do(h *step.Host) (err error) {
	r := h.Input.Bundle.Spec.Linux.Resources
	paths := PathsOf(h.Input.Cgroups)
	if h.Input.Options.Rootless {
		// MakeGroups leaves out what the user may not make, as long as no limit needs it.
		maps.DeleteFunc(paths, func(_, dir string) bool { return !exists(dir) })
		if onlyDevices(limited(r)) && !ruleDevices(paths) {
			return nil
		}
	}
	if len(paths) == 0 {
		return errNoGroup
	}
	g := Load(paths, h.Made)
	if h.Input.Unit.Name != "" {
		if g.Unit, err = startedUnit(h); err != nil {
			return err
		}
	}
	return g.Set(r)
}

// Undo has nothing to do: the limits go with the groups.
func (s LimitGroups) Undo(*step.Host) error { return nil }

// ruleDevices reports whether there is a group that device rules are for.
func ruleDevices(paths map[string]string) bool {
	for name := range paths {
		if name == "" || hasController(name, "devices") {
			return true
		}
	}
	return false
}

// onlyDevices reports whether nothing but device rules is asked for, which an unprivileged
// container does without: it has no right to make a device it could be kept from.
func onlyDevices(what []string) bool {
	return len(what) == 0 || len(what) == 1 && what[0] == "devices"
}
