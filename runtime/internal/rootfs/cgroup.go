package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// MountCgroup2 mounts the version 2 hierarchy.
type MountCgroup2 struct {
	Source      string
	Place       Place
	Attr        Attr
	RecAttr     Attr
	Propagation []uint64
	Data        []string
	Own         bool   // the container has a cgroup namespace
	New         bool   // and it is made for it
	Guest       bool   // the builder has no right to the host's hierarchy
	Host        string // where the hierarchy is mounted on the host
	Group       string // the container's group on the host
}

// MountCgroup1 mounts a directory of version 1 hierarchies.
type MountCgroup1 struct {
	Source      string
	Place       Place
	Attr        Attr
	Propagation []uint64
	Own         bool // the container has a cgroup namespace
	Hierarchies []step.Cgroup
}

const cgroupRoot = "/sys/fs/cgroup"

// initCgroupNS is the inode of the initial cgroup namespace (include/linux/proc_ns.h,
// PROC_CGROUP_INIT_INO).
const initCgroupNS = 0xEFFFFFFB

func compileCgroup(in *step.Input, m specs.Mount, o *options, place Place) (step.Step, error) {
	own := in.Namespace(specs.CgroupNamespace) != nil
	switch kind := in.Facts.Cgroup; {
	case kind == "v2", m.Type == "cgroup2":
		s := MountCgroup2{
			Source: m.Source, Place: place, Attr: o.attr, RecAttr: o.recAttr, Propagation: o.propagation,
			Data: o.data, Own: own, New: in.NewNamespace(specs.CgroupNamespace),
			Guest: in.Options.Rootless || in.UserNS(), Host: cgroupRoot,
		}
		if c := unified(in); c != nil {
			s.Host, s.Group = c.Mount, c.Path
		}
		return s, nil
	case kind == "v1", kind == "hybrid":
		return MountCgroup1{
			Source: m.Source, Place: place, Attr: o.attr, Propagation: o.propagation, Own: own, Hierarchies: in.Cgroups,
		}, nil
	}
	return nil, errors.New("no cgroup hierarchy")
}

// unified is the container's version 2 hierarchy, or nil.
func unified(in *step.Input) *step.Cgroup {
	for i := range in.Cgroups {
		if in.Cgroups[i].Name == "" {
			return &in.Cgroups[i]
		}
	}
	return nil
}

func (s MountCgroup2) String() string {
	return "mount cgroup2 on /" + s.Place.UnsafePath + notes(readOnlyNote(s.Attr, s.RecAttr), propagationNote(s.Propagation))
}

func (s MountCgroup1) String() string {
	return fmt.Sprintf("mount %d cgroup hierarchies on /%s%s", len(s.Hierarchies), s.Place.UnsafePath,
		notes(readOnlyNote(s.Attr, Attr{}), propagationNote(s.Propagation)))
}

// Do mounts the hierarchy.
func (s MountCgroup2) Do(b *step.Sandbox) error {
	return mountError(s.Source, s.Place.UnsafePath, s.do(b))
}

func (s MountCgroup2) do(b *step.Sandbox) error {
	whole := Mount{Type: "cgroup2", Source: s.Source, Attr: s.Attr, RecAttr: s.RecAttr, Data: s.Data, Propagation: s.Propagation}
	list := whole.changes(false)
	hosts := !s.New && inHostsGroups()
	mount, err := s.fresh(whole, hosts)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) {
		var attr Attr
		mount, attr, err = s.bind(hosts)
		// What the host mounts there later is not for the container, nor the other way round.
		list = append([]linux.MountAttr{{Propagation: unix.MS_PRIVATE, Recursive: true}}, list...)
		list = append(list, linux.MountAttr{Set: attr.Set, Clear: attr.Clear, Recursive: true})
	}
	if errors.Is(err, unix.ENOENT) {
		// Nothing to show, but the place must not be writable either.
		mount, err = emptyDir(nil)
		list = nil
	}
	if err != nil {
		return err
	}
	defer mount.Close()
	return attach(b, mount, s.Place, yes, list)
}

// fresh mounts the hierarchy anew, but not in the host's cgroup namespace: there whoever
// mounts it sets its options anew, for the whole host (cgroup-v2, mounting). The host would
// lose nsdelegate, by which groups of a container are out of its reach. From elsewhere the
// kernel takes these options and does nothing, and so do we.
func (s MountCgroup2) fresh(whole Mount, hosts bool) (*os.File, error) {
	if !hosts {
		return whole.detached()
	}
	if fs, err := linux.NewFilesystem("cgroup2"); err == nil {
		defer fs.Close()
		if err := configure(fs, whole.Super, whole.Data); err != nil {
			return nil, err
		}
	}
	return nil, unix.EBUSY
}

// bind shows what the host has mounted. To a guest that is the session's own groups, too,
// which it must not write to (CVE-2023-25809).
func (s MountCgroup2) bind(hosts bool) (*os.File, Attr, error) {
	from, attr := s.Host, s.Attr
	flags := uint(unix.OPEN_TREE_CLONE)
	if s.Guest {
		flags |= unix.AT_RECURSIVE // what is mounted below is locked to it
	}
	switch {
	case s.Own && !hosts && s.Group != "":
		from = s.Group
	case s.Guest && attr.Clear&unix.MOUNT_ATTR_RDONLY == 0:
		attr.Set |= unix.MOUNT_ATTR_RDONLY
	}
	mount, err := linux.OpenTree(nil, from, flags)
	return mount, attr, err
}

// inHostsGroups reports whether this thread is in the host's cgroup namespace, or cannot know.
func inHostsGroups() bool {
	var st unix.Stat_t
	err := unix.Stat("/proc/thread-self/ns/cgroup", &st)
	return err != nil || st.Ino == initCgroupNS
}

// Do mounts a tmpfs with a directory for each hierarchy.
func (s MountCgroup1) Do(b *step.Sandbox) error {
	return mountError(s.Source, s.Place.UnsafePath, s.do(b))
}

func (s MountCgroup1) do(b *step.Sandbox) error {
	dir := Mount{Type: "tmpfs", Source: "tmpfs", Data: []string{"mode=755"}}
	dir.Attr.Set = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	mount, err := dir.detached()
	if err != nil {
		return err
	}
	defer mount.Close()
	for _, c := range s.Hierarchies {
		if err := makeHierarchy(mount, c); err != nil {
			return err
		}
	}
	// All places are there, so it can be read-only before anyone sees it.
	list := append([]linux.MountAttr{{Set: s.Attr.Set, Clear: s.Attr.Clear}}, propagate(s.Propagation)...)
	if err := attach(b, mount, s.Place, yes, flat(list)); err != nil {
		return err
	}
	for _, c := range s.Hierarchies {
		if err := s.hierarchy(b, mount, c); err != nil {
			return fmt.Errorf("hierarchy %s: %w", path.Base(c.Mount), err)
		}
	}
	return nil
}

// makeHierarchy makes the directory of a hierarchy, and for each of its controllers a link
// to it if that is not its name.
func makeHierarchy(dir *os.File, c step.Cgroup) error {
	name := path.Base(c.Mount)
	if err := linux.MkdirAt(dir, name, 0o755); err != nil {
		return err
	}
	if c.Name == "" || strings.HasPrefix(c.Name, "name=") {
		return nil
	}
	for _, controller := range strings.Split(c.Name, ",") {
		if controller == name {
			continue
		}
		if err := linux.SymlinkAt(name, dir, controller); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

// hierarchy mounts one: with a cgroup namespace the hierarchy itself, which begins at the
// container's group, otherwise that group.
func (s MountCgroup1) hierarchy(b *step.Sandbox, dir *os.File, c step.Cgroup) error {
	target, err := linux.OpenAt(dir, path.Base(c.Mount), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer target.Close()
	attr := s.Attr
	attr.Set |= unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	list := propagate(s.Propagation)
	var mount *os.File
	if err = unix.EPERM; s.Own {
		mount, err = mountHierarchy(c.Name, attr.Set)
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) {
		mount, err = linux.OpenTree(nil, c.Path, unix.OPEN_TREE_CLONE)
		list = append(list, linux.MountAttr{Set: attr.Set, Clear: attr.Clear})
		if errors.Is(err, unix.ENOENT) {
			return nil // the container has no group there: the empty directory stays
		}
	}
	if err != nil {
		return err
	}
	defer mount.Close()
	return finish(b, mount, target, flat(list))
}

// mountHierarchy mounts the hierarchy of these controllers, or the one with this name.
func mountHierarchy(name string, attr uint64) (*os.File, error) {
	m := Mount{Type: "cgroup", Source: "cgroup", Attr: Attr{Set: attr}}
	switch {
	case name == "":
		m.Type = "cgroup2"
	case strings.HasPrefix(name, "name="):
		m.Data = []string{"none", name}
	default:
		m.Data = strings.Split(name, ",")
	}
	return m.detached()
}
