package cgroup

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxDepth is how deep one walk goes. A container that was given its groups can nest them
// as deep as it likes; a walk holds one descriptor for each level, so what lies deeper is
// walked from its own top afterwards.
const maxDepth = 64

// A walker visits a group and all below it. A callback that is nil is skipped.
type walker struct {
	enter func(fd int) error                  // before what is below
	leave func(parent int, name string) error // after it; not for the top
	deep  []int
}

// run walks the tree at top, which stays open. Groups that vanish meanwhile are skipped.
func (w *walker) run(top int) error {
	defer func() {
		for _, fd := range w.deep {
			unix.Close(fd)
		}
		w.deep = nil
	}()
	if err := w.visit(top, 0); err != nil {
		return err
	}
	for len(w.deep) > 0 {
		fd := w.deep[len(w.deep)-1]
		w.deep = w.deep[:len(w.deep)-1]
		err := w.visit(fd, 0)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) visit(fd, depth int) error {
	if w.enter != nil {
		if err := w.enter(fd); err != nil && !gone(err) {
			return err
		}
	}
	below, err := subgroups(fd)
	if err != nil {
		return err
	}
	for _, name := range below {
		if err := w.descend(fd, name, depth+1); err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

func (w *walker) descend(parent int, name string, depth int) error {
	fd, err := openAt(parent, name, openDirFlags)
	if err != nil {
		return err
	}
	if depth > maxDepth {
		if below, err := subgroups(fd); err == nil && len(below) > 0 {
			w.deep = append(w.deep, fd)
			return nil
		}
	}
	err = w.visit(fd, depth)
	unix.Close(fd)
	if err == nil && w.leave != nil {
		err = w.leave(parent, name)
	}
	return err
}

// subgroups returns the names of the groups directly below fd. A directory of kernfs
// counts two links and one more for each directory in it, so that the common answer,
// none, needs no reading of some forty names.
func subgroups(fd int) ([]string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Nlink <= 2 {
		return nil, err
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		return nil, err
	}
	var below []string
	buf := make([]byte, 16<<10)
	for {
		n := 0
		err := again(func() (err error) {
			n, err = unix.Getdents(fd, buf)
			return err
		})
		if err != nil || n <= 0 {
			return below, err
		}
		below = appendDirs(below, buf[:n])
	}
}

// direntHeader is the size of what precedes the name in struct linux_dirent64: inode,
// offset, record length and type.
const direntHeader = 19

// appendDirs appends the directories of a buffer of struct linux_dirent64.
func appendDirs(below []string, buf []byte) []string {
	for len(buf) > direntHeader {
		size := int(binary.NativeEndian.Uint16(buf[16:]))
		if size <= direntHeader || size > len(buf) {
			return below
		}
		name, _, _ := strings.Cut(string(buf[direntHeader:size]), "\x00")
		if buf[18] == unix.DT_DIR && name != "." && name != ".." {
			below = append(below, name)
		}
		buf = buf[size:]
	}
	return below
}

// parsePids appends the numbers of a cgroup.procs file. A process of a pid namespace that
// this one cannot see appears as 0.
func parsePids(pids []int, text string) []int {
	for line := range strings.Lines(text) {
		if pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n")); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// pidsAt appends the processes of the group fd itself. A group of a threaded v2 tree does
// not list its processes (EOPNOTSUPP): the top of that tree does.
func pidsAt(pids []int, fd int) ([]int, error) {
	text, err := readAt(fd, "cgroup.procs")
	if errors.Is(err, unix.EOPNOTSUPP) || gone(err) {
		return pids, nil
	}
	return parsePids(pids, text), err
}

// pidsBelow returns the processes in the group at dir and in all groups below it, sorted.
// A group that does not exist has none.
func pidsBelow(dir string) ([]int, error) {
	fd, err := openDir(dir)
	if err != nil {
		if gone(err) {
			return nil, nil
		}
		return nil, err
	}
	defer unix.Close(fd)
	var pids []int
	w := walker{enter: func(fd int) (err error) {
		pids, err = pidsAt(pids, fd)
		return err
	}}
	if err := w.run(fd); err != nil && !gone(err) {
		return nil, err
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// Pids returns the processes of the container, those in groups it made for itself too,
// sorted, as seen from the caller's pid namespace (0: not visible from it). It looks in
// one hierarchy, the one that [Group.Freeze] works on if possible.
func (g *Group) Pids() ([]int, error) {
	dir, ok := g.primary()
	if !ok {
		return nil, nil
	}
	pids, err := pidsBelow(dir)
	if err != nil {
		return nil, pathError("list the processes of cgroup", dir, err)
	}
	return pids, nil
}

// primary returns the directory that stands for the group where one is enough.
func (g *Group) primary() (string, bool) {
	if dir, ok := g.Paths[""]; ok {
		return dir, true
	}
	if dir, _, ok := g.Dir("freezer"); ok {
		return dir, true
	}
	for _, name := range names(g.Paths) {
		return g.Paths[name], true
	}
	return "", false
}

// allPids returns the processes in any hierarchy: a process that was allowed to write to
// one of them may have left it, but hardly all.
func (g *Group) allPids() ([]int, error) {
	var all []int
	for _, name := range names(g.Paths) {
		pids, err := pidsBelow(g.Paths[name])
		if err != nil {
			return nil, pathError("list the processes of cgroup", g.Paths[name], err)
		}
		all = append(all, pids...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
