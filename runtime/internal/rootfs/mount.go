package rootfs

import (
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// Mounts compiles mounts, in their order.
func Mounts(in *step.Input, emit step.Emit) error {
	if in.Namespace(specs.MountNamespace) == nil {
		return nil // they would be the host's; validation warns
	}
	for i, m := range in.Bundle.Spec.Mounts {
		s, err := compileMount(in, i, m)
		if err != nil {
			return fmt.Errorf("mounts[%d]: %w", i, err)
		}
		emit("/mounts/"+strconv.Itoa(i), s)
	}
	return nil
}

func compileMount(in *step.Input, i int, m specs.Mount) (step.Step, error) {
	o := parseOptions(m.Options)
	place := Place{UnsafePath: safepath.Clean(m.Destination), NoFollow: o.destNoFollow}
	if place.UnsafePath == "." {
		return nil, fmt.Errorf("cannot mount on %q: it is the root", m.Destination)
	}
	if err := checkProc(&place, m, &o); err != nil {
		return nil, err
	}
	if isBind(m, &o) && !o.remount {
		return compileTree(in, m, &o, place)
	}
	if !o.remount { // which leaves labels as they are
		o.data = append(o.data, labelOption(in, m.Type)...)
	}
	switch {
	case o.remount:
		return Remount{place, o.attr, o.recAttr, o.super, o.propagation, o.data, isBind(m, &o)}, nil
	case m.Type == "proc":
		place.Plain = true
		return AttachProc{m.Source, place, o.attr, o.recAttr, o.propagation, o.data}, nil
	case m.Type == "cgroup", m.Type == "cgroup2" && unified(in) != nil:
		return compileCgroup(in, m, &o, place)
	}
	place.Plain = m.Type == "sysfs"
	s := Mount{
		Type: m.Type, Source: m.Source, Place: place, Attr: o.attr, RecAttr: o.recAttr, Super: o.super,
		Propagation: o.propagation, Data: o.data, CopyUp: o.copyUp,
	}
	if o.copyUp && m.Type != "tmpfs" {
		return nil, fmt.Errorf("option tmpcopyup: cannot be used with %s, only with tmpfs", m.Type)
	}
	if lateReadOnly(in, i) {
		s.Attr.Set &^= unix.MOUNT_ATTR_RDONLY
	}
	if m.Type == "mqueue" && in.Facts.SELinux && in.Bundle.Spec.Linux != nil {
		s.Label = in.Bundle.Spec.Linux.MountLabel
	}
	return s, nil
}

func isBind(m specs.Mount, o *options) bool {
	return o.bind || m.Type == "bind" || m.Type == "rbind"
}

// contextType is crun's annotation for which of SELinux's options carries the label of
// mounts: context, unless it says another (mount(8)).
const contextType = "run.oci.mount_context_type"

// labelOption is the option that gives a file system the container's SELinux label. proc,
// sysfs and mqueue do not take it, and a cgroup file system has the one that it was first
// mounted with.
func labelOption(in *step.Input, fstype string) []string {
	l := in.Bundle.Spec.Linux
	if l == nil || l.MountLabel == "" || !in.Facts.SELinux {
		return nil
	}
	switch fstype {
	case "proc", "sysfs", "mqueue", "cgroup", "cgroup2":
		return nil
	}
	option := "context"
	if o := in.Bundle.Spec.Annotations[contextType]; o != "" {
		option = o
	}
	return []string{option + "=" + l.MountLabel}
}

// checkProc enforces what may be mounted on and below /proc: the container's security
// rests on it being a procfs with nothing pretended (CVE-2019-16884). Exceptions are what
// lxcfs and CRIU need.
func checkProc(p *Place, m specs.Mount, o *options) error {
	rest, inside := strings.CutPrefix(p.UnsafePath, "proc")
	switch {
	case !inside || rest != "" && rest[0] != '/':
		return nil
	case rest == "":
		p.OnProc = true
		if m.Type != "proc" && !isBind(m, o) && !o.remount {
			return fmt.Errorf("%q cannot be mounted because it is not of type proc", m.Destination)
		}
		return nil
	}
	switch rest[1:] {
	case "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
		"sys/kernel/ns_last_pid", "sys/crypto/fips_enabled":
		p.OnProc = true
		return nil
	}
	return fmt.Errorf("%q cannot be mounted because it is inside /proc", m.Destination)
}

// lateReadOnly reports whether the i-th mount is a file system that must be read-only in
// the end, but in which we have something to make first: the devices, or the places of
// later mounts.
func lateReadOnly(in *step.Input, i int) bool {
	m := in.Bundle.Spec.Mounts[i]
	o := parseOptions(m.Options)
	if isBind(m, &o) || o.remount || m.Type == "proc" || m.Type == "cgroup" || o.attr.Set&unix.MOUNT_ATTR_RDONLY == 0 {
		return false
	}
	at := safepath.Clean(m.Destination)
	if at == "dev" {
		return true
	}
	if m.Type != "tmpfs" {
		return false
	}
	if in.Options.NotifyDir != "" && strings.HasPrefix(step.NotifyPlace, at+"/") {
		return true
	}
	for _, later := range in.Bundle.Spec.Mounts[i+1:] {
		if strings.HasPrefix(safepath.Clean(later.Destination), at+"/") {
			return true
		}
	}
	l := in.Bundle.Spec.Linux
	if l == nil {
		return false
	}
	for _, d := range l.Devices {
		if strings.HasPrefix(safepath.Clean(d.Path), at+"/") {
			return true
		}
	}
	return false
}

// source makes the source of a bind mount absolute.
func source(in *step.Input, s string) string {
	if path.IsAbs(s) {
		return filepath.Clean(s)
	}
	return filepath.Join(in.Bundle.Dir, s)
}

// notes says in brackets what a reader of the plan wants to know about a mount.
func notes(list ...string) string {
	kept := list[:0]
	for _, s := range list {
		if s != "" {
			kept = append(kept, s)
		}
	}
	if len(kept) == 0 {
		return ""
	}
	return " (" + strings.Join(kept, ", ") + ")"
}

func readOnlyNote(attr, rec Attr) string {
	switch {
	case rec.Set&unix.MOUNT_ATTR_RDONLY != 0:
		return "read-only with all below"
	case attr.Set&unix.MOUNT_ATTR_RDONLY != 0:
		return "read-only"
	}
	return ""
}

func propagationNote(flags []uint64) string {
	if len(flags) == 0 {
		return ""
	}
	switch flags[len(flags)-1] &^ unix.MS_REC {
	case unix.MS_SHARED:
		return "shared"
	case unix.MS_SLAVE:
		return "slave"
	case unix.MS_UNBINDABLE:
		return "unbindable"
	}
	return ""
}
