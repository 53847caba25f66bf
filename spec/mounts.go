package spec

import (
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func (c *checker) mounts() {
	if len(c.Spec.Mounts) > 0 && !c.has(specs.MountNamespace) {
		// They would be the host's, and outlive the container.
		c.warn("need a mount namespace, ignored").at("mounts")
	}
	for i := range c.Spec.Mounts {
		m := &c.Spec.Mounts[i]
		c.destination(m, i)
		if c.nul(m.Source) || c.nul(m.Type) {
			c.errorAt("source or type "+nulText).at("mounts", i)
		}
		switch {
		case isBind(m):
			if m.Source == "" {
				c.errorAt("must not be empty").at("mounts", i, "source")
			}
			c.bindOptions(m, i)
		case m.Type == "" && !has(m.Options, "remount"):
			c.errorAt("required unless the mount is a bind").at("mounts", i, "type")
		}
		c.idmap(m, i)
		if c.opts.Rootless {
			c.ownerOptions(m, i)
		}
	}
}

// isBind reports whether a mount shows an existing tree at another place.
func isBind(m *specs.Mount) bool {
	return has(m.Options, "bind") || has(m.Options, "rbind") || m.Type == "bind"
}

func (c *checker) destination(m *specs.Mount, i int) {
	dest := m.Destination
	say := func(f finding) { f.at("mounts", i, "destination") }
	switch {
	case dest == "":
		say(c.missing())
		return
	case c.nul(dest):
		say(c.errorAt(nulText))
	case len(dest) > maxPath:
		say(c.errorf("longer than %d bytes", maxPath))
		return
	}
	for name := range strings.SplitSeq(dest, "/") {
		if len(name) > 255 {
			say(c.errorAt("has a name longer than 255 bytes"))
			return
		}
	}
	clean := dest
	if !path.IsAbs(dest) {
		clean = path.Clean("/" + dest)
		say(c.warn("not absolute, taken as " + bare(clean)))
	}
	clean = path.Clean(clean)
	switch {
	case clean == "/":
		say(c.errorAt("must not be the root"))
	case clean == "/proc" && m.Type != "proc" && !isBind(m):
		say(c.errorf("cannot be mounted inside /proc: the type is %s, not proc", quote(m.Type)))
	case strings.HasPrefix(clean, "/proc/") && !has(overProc[:], clean[len("/proc/"):]):
		say(c.errorAt("cannot be mounted inside /proc"))
	}
}

// overProc lists what may be mounted over: lxcfs shows a container's own
// figures there, CRIU and FIPS set-ups need the last ones.
var overProc = [...]string{
	"cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
	"sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
}

// bindOptions notes data for a file system, which a bind ignores. Engines send it.
func (c *checker) bindOptions(m *specs.Mount, i int) {
	for _, o := range m.Options {
		if !bindOption(o) {
			c.warn(quote(o)+" cannot be used with a bind, ignored").at("mounts", i, "options")
		}
	}
}

// bindOption reports whether a word is about the mount and not about the file
// system: the words of config.md, "Linux mount options", and some of crun's.
func bindOption(o string) bool {
	switch o {
	case "async", "sync", "atime", "noatime", "bind", "rbind", "defaults", "dev", "nodev",
		"diratime", "nodiratime", "dirsync", "exec", "noexec", "iversion", "noiversion",
		"lazytime", "nolazytime", "loud", "silent", "mand", "nomand", "norelatime", "relatime",
		"nostrictatime", "strictatime", "nosuid", "suid", "nosymfollow", "symfollow", "remount",
		"ro", "rw", "idmap", "ridmap", "tmpcopyup":
		return true
	case "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable":
		return true
	case "rro", "rrw", "rnosuid", "rsuid", "rnodev", "rdev", "rnoexec", "rexec", "rnodiratime",
		"rdiratime", "rrelatime", "rnorelatime", "rnoatime", "ratime", "rstrictatime",
		"rnostrictatime", "rnosymfollow", "rsymfollow":
		return true
	case "rsync", "rasync", "rdirsync", "rmand", "rnomand", "copy-symlink", "src-nofollow", "dest-nofollow":
		return true
	}
	// Comments for programs around mount(8).
	return strings.HasPrefix(o, "x-") || strings.HasPrefix(o, "X-") || strings.HasPrefix(o, "idmap=")
}

func (c *checker) idmap(m *specs.Mount, i int) {
	asked := has(m.Options, "idmap") || has(m.Options, "ridmap")
	uids, gids := len(m.UIDMappings) > 0, len(m.GIDMappings) > 0
	switch {
	case !uids && !gids:
		// Without its own, a mount takes the container's mappings.
		if asked && (c.Spec.Linux == nil || len(c.Spec.Linux.UIDMappings) == 0) && !c.has(specs.UserNamespace) {
			c.errorAt("required with idmap").at("mounts", i, "uidMappings")
		}
		if asked && c.opts.Rootless {
			c.errorAt("idmap is not possible in a rootless container").at("mounts", i, "options")
		}
		return
	case !uids:
		c.errorAt("required with gidMappings").at("mounts", i, "uidMappings")
	case !gids:
		c.errorAt("required with uidMappings").at("mounts", i, "gidMappings")
	}
	if !isBind(m) {
		c.errorAt("needs a bind mount").at("mounts", i, "uidMappings")
	}
	if c.opts.Rootless {
		c.errorAt("not possible in a rootless container").at("mounts", i, "uidMappings")
	}
	c.mappings(m.UIDMappings, "mounts", i, "uidMappings")
	c.mappings(m.GIDMappings, "mounts", i, "gidMappings")
}

// ownerOptions checks uid= and gid=: an ordinary user can only name ids that
// are mapped.
func (c *checker) ownerOptions(m *specs.Mount, i int) {
	if isBind(m) || c.Spec.Linux == nil {
		return
	}
	if joined, own := c.namespace(specs.UserNamespace); !own || joined != "" {
		return
	}
	for j, o := range m.Options {
		maps, name := c.Spec.Linux.UIDMappings, "uidMappings"
		value, ok := strings.CutPrefix(o, "uid=")
		if !ok {
			if value, ok = strings.CutPrefix(o, "gid="); !ok {
				continue
			}
			maps, name = c.Spec.Linux.GIDMappings, "gidMappings"
		}
		id, err := strconv.ParseUint(value, 10, 32)
		if err == nil && len(maps) > 0 && !covers(maps, uint32(id)) {
			c.errorf("%s is not mapped by linux.%s", quote(o), name).at("mounts", i, "options", j)
		}
	}
}
