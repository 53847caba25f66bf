package rootfs

import (
	"errors"
	"fmt"
	"os"
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
	UIDs      []specs.LinuxIDMapping
	GIDs      []specs.LinuxIDMapping
	Namespace string // instead of mappings: a user namespace that maps so
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
		return containerMap(in, o.ridmap)
	case len(uids) == 0 || len(gids) == 0:
		return nil, errors.New("uidMappings: needed together with gidMappings")
	}
	return &IDMap{Recursive: o.ridmap, UIDs: uids, GIDs: gids}, nil
}

// containerMap is what option idmap means alone: as the container's user namespace maps.
// A new one is not there yet when the mount is made, so another that maps the same is.
func containerMap(in *step.Input, recursive bool) (*IDMap, error) {
	ns := in.Namespace(specs.UserNamespace)
	if ns == nil {
		return nil, errors.New("uidMappings: required with idmap")
	}
	if ns.Path != "" {
		return &IDMap{Recursive: recursive, Namespace: ns.Path}, nil
	}
	l := in.Bundle.Spec.Linux
	return &IDMap{Recursive: recursive, UIDs: l.UIDMappings, GIDs: l.GIDMappings}, nil
}

// userNamespace opens a user namespace that maps so.
func (m *IDMap) userNamespace() (*os.File, error) {
	if m.Namespace != "" {
		return linux.OpenAt(nil, m.Namespace, unix.O_RDONLY, 0)
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
