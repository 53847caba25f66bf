package ns

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// WriteMaps gives the new user namespace of process pid its id maps (user_namespaces(7)).
//
// With privileges both are written directly. Without, a map of the caller's own id alone
// can be written, after the namespace has given up setgroups(2); anything else goes
// through newuidmap and newgidmap, which check /etc/subuid and /etc/subgid.
func (s *Set) WriteMaps(pid int) error {
	if s.EUID == 0 {
		if err := writeMap(pid, "uid_map", s.UIDs); err != nil {
			return err
		}
		return writeMap(pid, "gid_map", s.GIDs)
	}
	if single(s.UIDs, s.EUID) {
		if err := writeMap(pid, "uid_map", s.UIDs); err != nil {
			return err
		}
	} else if err := helper("newuidmap", pid, s.UIDs); err != nil {
		return err
	}
	if single(s.GIDs, s.EGID) {
		// The kernel lets an unprivileged writer map its group only where setgroups is
		// denied: else it could drop a group that forbids something.
		if err := write(pid, "setgroups", []byte("deny")); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return writeMap(pid, "gid_map", s.GIDs)
	}
	return helper("newgidmap", pid, s.GIDs)
}

// SetgroupsDenied reports whether WriteMaps makes setgroups(2) impossible in the container.
func (s *Set) SetgroupsDenied() bool {
	return s.EUID != 0 && s.makes(unix.CLONE_NEWUSER) && single(s.GIDs, s.EGID)
}

// rootOf is the id in a user namespace that makes the container's files: 0, if it is mapped
// or the maps are not known.
func rootOf(maps []specs.LinuxIDMapping) uint32 {
	for _, m := range maps {
		if m.ContainerID == 0 {
			return 0
		}
	}
	if len(maps) == 0 {
		return 0
	}
	return maps[0].ContainerID
}

func single(maps []specs.LinuxIDMapping, id int) bool {
	return len(maps) == 1 && maps[0].Size == 1 && int(maps[0].HostID) == id
}

func writeMap(pid int, name string, maps []specs.LinuxIDMapping) error {
	var b []byte
	for _, m := range maps {
		b = fmt.Appendf(b, "%d %d %d\n", m.ContainerID, m.HostID, m.Size)
	}
	return write(pid, name, b)
}

// write writes in one call, as the kernel demands of these files.
func write(pid int, name string, b []byte) error {
	path := "/proc/" + strconv.Itoa(pid) + "/" + name
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Write(fd, b)
	if err != nil {
		return fmt.Errorf("cannot write %q to %s: %w", strings.TrimSpace(string(b)), path, err)
	}
	if n != len(b) {
		return fmt.Errorf("cannot write %s: short write", path)
	}
	return nil
}

// helperDirs is where newuidmap is looked for: never in a PATH that somebody else chose.
const helperDirs = "/usr/bin:/bin:/usr/local/bin:/usr/sbin:/sbin:/run/current-system/sw/bin:/run/wrappers/bin"

func helper(name string, pid int, maps []specs.LinuxIDMapping) error {
	path := ""
	for _, dir := range strings.Split(helperDirs, ":") {
		if st, err := os.Stat(dir + "/" + name); err == nil && st.Mode().IsRegular() {
			path = dir + "/" + name
			break
		}
	}
	if path == "" {
		return fmt.Errorf("cannot map ids: %s is missing (package uidmap or shadow-utils)", name)
	}
	args := []string{strconv.Itoa(pid)}
	for _, m := range maps {
		args = append(args, strconv.FormatUint(uint64(m.ContainerID), 10), strconv.FormatUint(uint64(m.HostID), 10), strconv.FormatUint(uint64(m.Size), 10))
	}
	cmd := exec.Command(path, args...)
	cmd.Env = []string{}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot map ids with %s: %w: %q", name, err, strings.TrimSpace(out.String()))
	}
	return nil
}
