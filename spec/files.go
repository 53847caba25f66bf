package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// CheckFiles checks what the configuration says about files against the files:
// the root directory, programs of hooks that run on the host, and, with
// Options.Sources, sources of bind mounts. It only looks; what it saw may have
// changed when it is used, so it explains early and protects from nothing.
func (b *Bundle) CheckFiles(opts Options) Problems {
	c := &checker{Bundle: b, opts: opts, inConfig: true}
	c.rootFile()
	c.hookFiles()
	if opts.Sources {
		c.sourceFiles()
	}
	return b.inFileOrder(c.found)
}

func (c *checker) rootFile() {
	root := c.RootPath()
	if root == "" || root == "/" || len(root) > maxPath {
		return // Validate speaks of these
	}
	say := func(text, contract string) {
		c.errorAt(text).words(contract).at("root", "path")
	}
	info, err := os.Lstat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		say(quote(root)+" does not exist", "invalid rootfs")
	case errors.Is(err, fs.ErrPermission):
		say("permission denied at "+quote(barrier(root)), "invalid rootfs")
	case err != nil:
		say(reason(err), "invalid rootfs")
	case info.Mode()&fs.ModeSymlink != 0:
		say("is a symbolic link", "invalid rootfs: not an absolute path, or a symlink")
	case !info.IsDir():
		say("not a directory", "invalid rootfs")
	default:
		host, err := os.Stat("/")
		if err == nil && os.SameFile(host, info) {
			say("must not be the host root", "invalid rootfs")
		}
	}
}

// barrier finds the directory on the way to path that cannot be entered.
func barrier(path string) string {
	at := path
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir + "/."); errors.Is(err, fs.ErrPermission) {
			at = dir
		}
	}
	return at
}

// reason is an error's cause without the operation and the path.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func (c *checker) hookFiles() {
	for _, list := range hookLists(c.Spec.Hooks) {
		if !list.onHost {
			continue
		}
		for i, h := range list.hooks {
			if !filepath.IsAbs(h.Path) {
				continue
			}
			text := ""
			switch info, err := os.Stat(h.Path); {
			case err != nil:
				text = reason(err)
			case info.IsDir():
				text = "is a directory"
			case info.Mode()&0o111 == 0:
				text = "permission denied (mode " + fmt.Sprintf("%04o", info.Mode().Perm()) + ")"
			default:
				continue
			}
			text = quote(h.Path) + ": " + text
			if list.name == "poststop" { // that it fails is no more than a warning, too
				c.warn(text).at("hooks", list.name, i, "path")
				continue
			}
			c.errorAt(text).at("hooks", list.name, i, "path")
		}
	}
}

func (c *checker) sourceFiles() {
	for i := range c.Spec.Mounts {
		m := &c.Spec.Mounts[i]
		if !isBind(m) || m.Source == "" || has(m.Options, "remount") {
			continue
		}
		source := c.join(m.Source)
		if _, err := os.Lstat(source); errors.Is(err, fs.ErrNotExist) {
			c.errorf("%s does not exist", quote(source)).at("mounts", i, "source")
		}
	}
	if c.Spec.Linux == nil {
		return
	}
	for i, ns := range c.Spec.Linux.Namespaces {
		c.namespaceFile(i, ns)
	}
	if len(c.shared) > 0 {
		c.sysctls(c.Spec.Linux)
		c.sharedNames()
	}
}

// sharedNames keeps the host's own name from being set.
func (c *checker) sharedNames() {
	if !slices.Contains(c.shared, specs.UTSNamespace) {
		return
	}
	for _, n := range []struct{ property, value string }{{"hostname", c.Spec.Hostname}, {"domainname", c.Spec.Domainname}} {
		if n.value != "" {
			c.errorAt("not allowed with the host uts namespace").
				words("unable to set " + n.property + " without a private UTS namespace").at(n.property)
		}
	}
}

func (c *checker) namespaceFile(i int, ns specs.LinuxNamespace) {
	if !filepath.IsAbs(ns.Path) {
		return
	}
	at := []any{"linux", "namespaces", i, "path"}
	info, err := os.Stat(ns.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.errorf("%s does not exist", quote(ns.Path)).at(at...)
	case err == nil && !info.Mode().IsRegular(): // nsfs files are regular ones
		c.errorAt("is not a namespace file").at(at...)
	case err == nil:
		if ns.Type == specs.UserNamespace {
			c.joinedMaps(ns.Path)
		}
		if own, err := os.Stat(ownNamespace(ns.Type)); err == nil && os.SameFile(own, info) {
			c.shared = append(c.shared, ns.Type) // the host's, however it is written
		}
	}
}

// ownNamespace is the file of our own namespace of a kind (namespaces(7)).
func ownNamespace(kind specs.LinuxNamespaceType) string {
	switch kind {
	case specs.MountNamespace:
		kind = "mnt"
	case specs.NetworkNamespace:
		kind = "net"
	}
	return "/proc/self/ns/" + string(kind)
}

// joinedMaps compares mappings that come with a user namespace to join, as containerd sends
// them for all containers of a pod, with those of the process that the path names. Others
// would be ignored, and files would belong to other users than the file says.
func (c *checker) joinedMaps(path string) {
	l := c.Spec.Linux
	if filepath.Base(filepath.Dir(path)) != "ns" {
		return // bound elsewhere: there is no process to ask
	}
	process := filepath.Dir(filepath.Dir(path))
	for _, m := range []struct {
		file, property string
		said           []specs.LinuxIDMapping
	}{{"uid_map", "uidMappings", l.UIDMappings}, {"gid_map", "gidMappings", l.GIDMappings}} {
		if len(m.said) == 0 {
			continue
		}
		data, err := os.ReadFile(filepath.Join(process, m.file))
		if err == nil && !sameMaps(string(data), m.said) {
			c.errorAt("not allowed together with a namespace path, unless they are the namespace's own").at("linux", m.property)
		}
	}
}

// sameMaps compares the kernel's lines, in any order, with mappings.
func sameMaps(lines string, said []specs.LinuxIDMapping) bool {
	var is []specs.LinuxIDMapping
	for line := range strings.Lines(lines) {
		var m specs.LinuxIDMapping
		if _, err := fmt.Sscan(line, &m.ContainerID, &m.HostID, &m.Size); err != nil {
			return true // not what it was taken for
		}
		is = append(is, m)
	}
	for _, m := range said {
		i := slices.Index(is, m)
		if i < 0 {
			return false
		}
		is = slices.Delete(is, i, i+1)
	}
	return len(is) == 0
}
