package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxName is the longest name a cgroup may have, in bytes (NAME_MAX).
const maxName = 255

// Paths returns the directory of a container's group in each hierarchy, by the name of
// the hierarchy ("" is v2). Nothing is made.
//
// An absolute cgroupsPath counts from the top of each hierarchy. A relative one, or the
// id if cgroupsPath is empty, lies where runc puts it: below our own group on v1, beside
// our own group on v2, because a v2 group that holds processes cannot give controllers to
// groups below it. If rootless and the group above our own is not ours to change, it lies
// below our own. Paths are cleaned as runc does: ".." stops at the top (of the hierarchy,
// or of the place a relative path starts from).
//
// Errors start with "linux.cgroupsPath:" and name what is wrong: a name that no cgroup can
// have, the root of a hierarchy, or the runtime's own group.
func Paths(cgroupsPath, id string, hs []Hierarchy, rootless bool) (map[string]string, error) {
	given := cgroupsPath
	if given == "" {
		given = id
	}
	if err := checkNames(given); err != nil {
		return nil, err
	}
	clean := path.Clean("/" + given)
	if clean == "/" {
		return nil, errors.New("linux.cgroupsPath: must not be the root")
	}
	paths := make(map[string]string, len(hs))
	for _, h := range hs {
		base := "/"
		if !strings.HasPrefix(given, "/") {
			base = h.base(rootless)
		}
		group := path.Join(base, clean)
		if group == path.Clean(h.Own) {
			return nil, errors.New("linux.cgroupsPath: must not be the cgroup of the runtime itself")
		}
		paths[h.Name] = path.Join(h.Mount, group)
	}
	return paths, nil
}

// base is where relative paths start in h.
func (h Hierarchy) base(rootless bool) string {
	if h.Name != "" || rootless && !writable(h.Mount+path.Dir(h.Own)) {
		return h.Own
	}
	return path.Dir(h.Own)
}

// checkNames refuses what the kernel would refuse with a less clear error.
func checkNames(p string) error {
	if i := strings.IndexAny(p, "\n\x00"); i >= 0 {
		return fmt.Errorf("linux.cgroupsPath: invalid name: byte %#02x in %q", p[i], p)
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > maxName {
			return fmt.Errorf("linux.cgroupsPath: invalid name: %.20q... has %d bytes, at most %d are possible",
				name, len(name), maxName)
		}
	}
	return nil
}

// Plan returns the directories that [Create] would have to make for paths, outermost
// first, so that they can be recorded before the first one exists: what a killed runtime
// has left behind is then known. Nothing is made. What Create has really made is in
// [Group].Made and is never more, unless somebody removed a group in between.
//
// Mounts says of each of paths where its hierarchy is mounted, which is there.
func Plan(paths, mounts map[string]string) []string {
	made := make([]string, 0, len(paths))
	for _, name := range names(paths) {
		from := len(made)
		for dir := paths[name]; dir != "/" && dir != mounts[name] && !exists(dir); dir = path.Dir(dir) {
			made = append(made, dir)
		}
		slices.Reverse(made[from:])
	}
	return made
}

func exists(dir string) bool {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.F_OK, 0) != unix.ENOENT
}

// names returns the hierarchies of paths in the one order used everywhere.
func names(paths map[string]string) []string { return slices.Sorted(maps.Keys(paths)) }
