// Package examples holds one small bundle for each kind of namespace and makes them
// ready to run.
//
// What belongs here: the example configurations and what turns them into bundles. What
// does not: running them, which is the demo's and the tests' business.
package examples

import (
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

//go:embed */config.json
var configs embed.FS

// Kinds returns the names of the examples for one kind of namespace each. Beside them
// there are "container", which has nearly all kinds, and "rootless".
func Kinds() []string {
	return []string{"uts", "ipc", "pid", "mount", "network", "user", "cgroup", "time"}
}

// Options change an example for where it is to run.
type Options struct {
	// Tour is a program made by BuildTour; if empty, Make builds one.
	Tour string
	// MapTo, if not nil, is the user on the host that root in the container is to be.
	// Only examples with id mappings of size 1 look at it.
	MapTo *User
}

// A User is a user and group of the host.
type User struct{ UID, GID int }

// Make makes a bundle of the named example in dir, which it creates if need be. The
// inode numbers of the caller's own namespaces go into the environment, as
// HOST_NS_UTS and so on, for the program to compare.
func Make(name, dir string, o Options) error {
	data, err := configs.ReadFile(name + "/config.json")
	if err != nil {
		return fmt.Errorf("cannot find example %q: %w", name, err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return fmt.Errorf("cannot read example %q: %w", name, err)
	}
	spec.Process.Env = append(spec.Process.Env, hostNamespaces()...)
	if o.MapTo != nil {
		remap(spec.Linux.UIDMappings, o.MapTo.UID)
		remap(spec.Linux.GIDMappings, o.MapTo.GID)
	}
	if data, err = json.MarshalIndent(spec, "", "  "); err != nil {
		return fmt.Errorf("cannot write example %q: %w", name, err)
	}
	rootfs := filepath.Join(dir, spec.Root.Path)
	for _, d := range []string{"dev", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(rootfs, d), 0o755); err != nil {
			return fmt.Errorf("cannot make a root file system: %w", err)
		}
	}
	if err := placeTour(o.Tour, filepath.Join(rootfs, "tour")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write config.json: %w", err)
	}
	return nil
}

// BuildTour builds the program that the examples run, statically, at path. It needs the
// go command and a working directory inside this module.
func BuildTour(path string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "github.com/ocirt/ocirt/examples/tour")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the tour: %w\n%s", err, out)
	}
	return nil
}

func placeTour(from, to string) error {
	if from == "" {
		return BuildTour(to)
	}
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		return fmt.Errorf("cannot copy the tour: %w", err)
	}
	return nil
}

// hostNamespaces returns HOST_NS_KIND=INODE for the caller's namespaces.
func hostNamespaces() []string {
	var env []string
	for _, f := range [][2]string{
		{"uts", "UTS"},
		{"ipc", "IPC"},
		{"pid", "PID"},
		{"mnt", "MOUNT"},
		{"net", "NETWORK"},
		{"user", "USER"},
		{"cgroup", "CGROUP"},
		{"time", "TIME"},
	} {
		link, err := os.Readlink("/proc/self/ns/" + f[0])
		if err != nil {
			continue // an older kernel
		}
		inode := strings.TrimSuffix(link[strings.Index(link, "[")+1:], "]")
		env = append(env, "HOST_NS_"+f[1]+"="+inode)
	}
	return env
}

func remap(maps []specs.LinuxIDMapping, host int) {
	for i := range maps {
		if maps[i].Size == 1 {
			maps[i].HostID = uint32(host)
		}
	}
}
