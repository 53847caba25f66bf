package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd"
)

// A Unit is the systemd unit that a group is. Its first two fields are all that has to be
// stored.
type Unit struct {
	Name string // "ocirt-demo.scope"
	User bool   // of the user's systemd, not the system's

	// Manager is the connection to that systemd. Nil: it is made when it is needed, and
	// closed again.
	Manager *systemd.Manager
}

// with does something with the manager.
func (u *Unit) with(do func(*systemd.Manager) error) error {
	if u.Manager != nil {
		return do(u.Manager)
	}
	m, err := systemd.Connect(instance(u.User))
	if err != nil {
		return err
	}
	defer m.Close()
	return do(m)
}

// ConnectSystemd connects to the systemd whose units this process may make: the system's for
// root, the user's for others. Root of a user namespace can be either, an ordinary user in
// disguise or root of a whole container with a systemd of its own: it is the user's if that
// can be reached.
func ConnectSystemd() (*systemd.Manager, error) {
	if os.Geteuid() != 0 {
		return systemd.Connect(instance(true))
	}
	if !inUserNamespace() {
		return systemd.Connect(instance(false))
	}
	m, userErr := systemd.Connect(instance(true))
	if userErr == nil {
		return m, nil
	}
	m, err := systemd.Connect(instance(false))
	if err != nil {
		return nil, errors.Join(userErr, err)
	}
	return m, nil
}

// instance says how a systemd is reached from here.
func instance(user bool) systemd.Instance {
	i := systemd.Instance{User: user, UID: os.Geteuid(), EUID: os.Geteuid(), Getenv: os.Getenv}
	if inUserNamespace() {
		i.UID, i.EUID = outerUID(i.UID), -1
	}
	return i
}

// outerUID is what a user id is called outside of this user namespace; -1 if it has no name
// there.
func outerUID(uid int) int {
	text, err := readAt(unix.AT_FDCWD, "/proc/self/uid_map")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(text) {
		var n [3]int
		fields := strings.Fields(line)
		if len(fields) != len(n) {
			continue
		}
		for i, f := range fields {
			if n[i], err = strconv.Atoi(f); err != nil {
				return -1
			}
		}
		if uid >= n[0] && uid-n[0] < n[2] {
			return n[1] + uid - n[0]
		}
	}
	return -1
}

// UserControlGroup is where the systemd of this user manages from, by convention: for those
// who cannot ask it.
func UserControlGroup() string {
	uid := strconv.Itoa(instance(true).UID)
	return "/user.slice/user-" + uid + ".slice/user@" + uid + ".service"
}

// UnitPaths returns the directory of a unit in each hierarchy, where control is the cgroup
// that its manager, of this version (0: the newest), manages from. Nothing is made.
func UnitPaths(u systemd.Unit, control string, version int, hs []Hierarchy) map[string]string {
	paths := make(map[string]string, len(hs))
	for _, h := range hs {
		paths[h.Name] = path.Join(h.Mount, control, u.Dir(version))
	}
	return paths
}

// PlanUnit is [Plan] for a unit: the groups above it are systemd's.
func PlanUnit(paths map[string]string) []string {
	var made []string
	for _, name := range names(paths) {
		if !exists(paths[name]) {
			made = append(made, paths[name])
		}
	}
	return made
}

// Attach lets systemd move a process of this user into the unit's group, or the one below it,
// from wherever it is.
func (g *Group) Attach(pid int, below string) error {
	dir, ok := g.unitDir()
	if !ok {
		return errNoOwnGroup
	}
	below = path.Join("/", below)
	err := g.Unit.with(func(m *systemd.Manager) error { return m.Attach(g.Unit.Name, below, pid) })
	if err != nil {
		return err
	}
	text, err := readAt(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/cgroup")
	if err != nil {
		return fmt.Errorf("cannot see where systemd has put the process: %w", err)
	}
	for _, h := range parseOwn(text) {
		if h.Name == "" || h.Name == "name=systemd" {
			if strings.HasSuffix(h.Own, path.Join("/", path.Base(dir), below)) {
				return nil
			}
		}
	}
	return fmt.Errorf("systemd has not put the process into cgroup %s", path.Join(dir, below))
}

// endUnit ends the unit. Its processes are killed first: systemd would ask them to end, and
// wait for that.
func (g *Group) endUnit(ctx context.Context) error {
	pids, err := g.allPids()
	if err != nil {
		return err
	}
	if len(pids) > 0 {
		if err := g.Kill(ctx); err != nil {
			return err
		}
	}
	return g.stop()
}

// stop stops the unit, if it is ours, when nothing runs in it any more. A systemd that cannot
// be reached is no error: it forgets a unit without processes by itself, or has gone with
// all of its units.
func (g *Group) stop() error {
	dir, ok := g.unitDir()
	if !ok || !slices.Contains(g.Made, dir) {
		return nil
	}
	g.dropIn().remove()
	err := g.Unit.with(func(m *systemd.Manager) error { return m.Stop(g.Unit.Name) })
	var unreachable *systemd.UnreachableError
	if err != nil && (errors.As(err, &unreachable) || !exists(dir)) {
		return nil
	}
	return err
}

// unitDir is the group that systemd itself looks after: the v2 group, or that of its own v1
// hierarchy.
func (g *Group) unitDir() (string, bool) {
	if g.Unit == nil {
		return "", false
	}
	return trackingDir(g.Paths)
}

func trackingDir(paths map[string]string) (string, bool) {
	if dir, ok := paths["name=systemd"]; ok {
		return dir, true
	}
	dir, ok := paths[""]
	return dir, ok
}

// placed makes sure that a process is where systemd was asked to put it.
func placed(pid int, paths map[string]string, mounts map[string]string) error {
	text, err := readAt(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/cgroup")
	if err != nil {
		return fmt.Errorf("cannot see where systemd has put init: %w", err)
	}
	dir, ok := trackingDir(paths)
	if !ok {
		return nil
	}
	for _, h := range parseOwn(text) {
		if want, ok := paths[h.Name]; !ok || want != dir {
			continue
		}
		if path.Join(mounts[h.Name], h.Own) == dir {
			return nil
		}
		return fmt.Errorf("systemd has put init into cgroup %s, not into %s", path.Join(mounts[h.Name], h.Own), dir)
	}
	return fmt.Errorf("init is in no cgroup that systemd looks after")
}
