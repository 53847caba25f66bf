// Package cgroup knows where a container's control groups are, makes them, lets a
// process join them, kills everything in them and removes them, on cgroup v1, hybrid
// and v2 hosts, and writes a container's limits.
//
// What belongs here: paths below the cgroup file systems, the files in them, and the
// races between them and the processes they hold. What does not: plan steps, the state
// directory, systemd units, and how a process is started; those use this package.
//
// # Joining
//
// Nobody is ever moved. Writing a process id to cgroup.procs takes a lock that waits for
// every other fork and exit on the machine, some 10 ms on an idle one. A thread that
// writes 0 to a v1 tasks file moves only itself and takes no such lock, and a v2 group
// is joined at birth with CLONE_INTO_CGROUP. See [Group.JoinFiles] and [Group.CgroupFD].
//
// # Path safety
//
// The trees are made by the kernel: a cgroup file system holds no symbolic links, no
// files of users and no foreign names but directories, and what a container may rename
// lies below its own group. So a group itself is opened by its path with O_NOFOLLOW, and
// whatever lies below it is reached by descriptors only, one name at a time, again with
// O_NOFOLLOW. Before anything below a group is signalled or removed, the descriptor is
// checked to be a cgroup other than the root of its hierarchy, so that a damaged record
// cannot turn into the death of the host's processes.
package cgroup

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Mode is how a host arranges its cgroup file systems.
type Mode int

// The arrangements. Hybrid is v1 with an additional v2 tree at /sys/fs/cgroup/unified.
const (
	None Mode = iota
	V1
	Hybrid
	V2
)

// String returns the name people use: "v1", "hybrid", "v2" or "none".
func (m Mode) String() string {
	switch m {
	case V1:
		return "v1"
	case Hybrid:
		return "hybrid"
	case V2:
		return "v2"
	}
	return "none"
}

// Where cgroup file systems are mounted by every distribution.
const (
	root    = "/sys/fs/cgroup"
	unified = root + "/unified"
)

// Detect tells how this host arranges its cgroups. It looks at the types of the file
// systems at the usual places only, so it costs two system calls. A tmpfs that holds no
// hierarchy at all still counts as V1; [Hierarchies] is then empty.
func Detect() (Mode, error) {
	kind, err := fsType(root)
	if err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			return None, nil
		}
		return None, pathError("look at", root, err)
	}
	switch kind {
	case unix.CGROUP2_SUPER_MAGIC:
		return V2, nil
	case unix.CGROUP_SUPER_MAGIC:
		return V1, nil
	case unix.TMPFS_MAGIC:
		if kind, err = fsType(unified); err == nil && kind == unix.CGROUP2_SUPER_MAGIC {
			return Hybrid, nil
		}
		return V1, nil
	}
	return None, nil // an empty directory of sysfs: nothing is mounted
}

// fsType returns the magic number of the file system that holds path.
func fsType(path string) (int64, error) {
	var fs unix.Statfs_t
	err := again(func() error { return unix.Statfs(path, &fs) })
	return int64(fs.Type), err
}
