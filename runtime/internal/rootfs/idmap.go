package rootfs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/runtime/internal/step"
)

// An IDMap says how owners of files look through a mount.
type IDMap struct {
	Recursive bool
	UIDs      []specs.LinuxIDMapping // none: as the container's user namespace maps
	GIDs      []specs.LinuxIDMapping
}

func compileIDMap(in *step.Input, m specs.Mount, o *options) (*IDMap, error) {
	uids, gids := m.UIDMappings, m.GIDMappings
	if o.idmapSpec != "" {
		var err error
		if uids, gids, err = parseIDMap(in, o.idmapSpec); err != nil {
			return nil, fmt.Errorf("option idmap: %w", err)
		}
	}
	switch {
	case len(uids) == 0 && len(gids) == 0 && !o.idmap:
		return nil, nil
	case len(uids) == 0 && len(gids) == 0:
		if !in.UserNS() {
			return nil, errors.New("uidMappings: required with idmap")
		}
		return &IDMap{Recursive: o.ridmap}, nil
	case len(uids) == 0 || len(gids) == 0:
		return nil, errors.New("uidMappings: needed together with gidMappings")
	}
	// The container's own user namespace will do where it maps the same.
	if l := in.Bundle.Spec.Linux; in.NewNamespace(specs.UserNamespace) &&
		slices.Equal(uids, l.UIDMappings) && slices.Equal(gids, l.GIDMappings) {
		return &IDMap{Recursive: o.ridmap}, nil
	}
	return &IDMap{o.ridmap, uids, gids}, nil
}

// userNamespace opens a user namespace that maps so.
func (m *IDMap) userNamespace(h *step.Host) (*os.File, error) {
	if h == nil {
		return nil, errors.New("bug in ocirt: an id-mapped mount without the host")
	}
	if len(m.UIDs) == 0 {
		return linux.OpenAt(nil, "/proc/"+strconv.Itoa(h.Pid)+"/ns/user", unix.O_RDONLY, 0)
	}
	// A user namespace needs a process until there is a handle of it.
	var p entry.Program
	p.Call(unix.SYS_PPOLL, 0, 0, 0, 0, 0)
	p.Exit(0)
	std := []*os.File{nil, nil, nil}
	null, err := linux.OpenAt(nil, "/dev/null", unix.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	for i := range std {
		std[i] = null
	}
	pid, err := p.Start(std, &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, UidMappings: mappings(m.UIDs), GidMappings: mappings(m.GIDs),
		GidMappingsEnableSetgroups: true, Pdeathsig: syscall.SIGKILL,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make a user namespace for the mount: %w", err)
	}
	ns, err := linux.OpenAt(nil, "/proc/"+strconv.Itoa(pid)+"/ns/user", unix.O_RDONLY, 0)
	unix.Kill(pid, unix.SIGKILL)
	for {
		if _, waitErr := unix.Wait4(pid, nil, 0, nil); waitErr != unix.EINTR {
			break
		}
	}
	return ns, err
}

func mappings(list []specs.LinuxIDMapping) []syscall.SysProcIDMap {
	maps := make([]syscall.SysProcIDMap, 0, len(list))
	for _, m := range list {
		maps = append(maps, syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)})
	}
	return maps
}
