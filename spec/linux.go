package spec

import (
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// restrictedPaths checks masked and read-only paths. Unlike peers it refuses
// relative paths and those with "..": they are mistakes with the look of
// protection.
func (c *checker) restrictedPaths(l *specs.Linux) {
	for _, list := range []struct {
		name  string
		paths []string
	}{{"maskedPaths", l.MaskedPaths}, {"readonlyPaths", l.ReadonlyPaths}} {
		if len(list.paths) > 0 && !c.has(specs.MountNamespace) {
			c.errorAt("needs a mount namespace").at("linux", list.name)
		}
		for i, p := range list.paths {
			at := func() []any { return []any{"linux", list.name, i} }
			switch {
			case c.nul(p):
				c.errorAt(nulText).at(at()...)
			case p == "":
				c.errorAt("must not be empty").at(at()...)
			case !path.IsAbs(p):
				c.errorf("must be absolute, found %s", quote(p)).at(at()...)
			case dotdot(p):
				c.errorf(`contains "..": %s`, quote(p)).at(at()...)
			case path.Clean(p) == "/":
				c.errorAt("must not be the root").at(at()...)
			case len(p) > maxPath:
				c.errorf("longer than %d bytes", maxPath).at(at()...)
			}
		}
	}
}

var propagations = [...]string{
	"shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable",
}

func (c *checker) propagation(l *specs.Linux) {
	p := l.RootfsPropagation
	switch {
	case p == "":
	case !has(propagations[:], p):
		c.unknownWord(p, propagations[:]).words("rootfsPropagation="+bare(p)+" is not supported").
			at("linux", "rootfsPropagation")
	case c.opts.NoPivot && strings.HasSuffix(p, "private"):
		c.errorf("%s is not possible without pivot_root", quote(p)).
			words("rootfsPropagation="+p+" is not supported").at("linux", "rootfsPropagation")
	}
}

func (c *checker) mountLabel(l *specs.Linux) {
	// It becomes part of a mount option: context="LABEL".
	if control(l.MountLabel) || strings.ContainsAny(l.MountLabel, `"\`) {
		c.errorf("invalid context %s", quote(l.MountLabel)).at("linux", "mountLabel")
	}
}

func (c *checker) intelRdt(r *specs.LinuxIntelRdt) {
	if r == nil {
		return
	}
	id := r.ClosID
	bad := id == "." || id == ".." || id == "info" || id == "mon_groups" || id == "mon_data" || control(id) || len(id) > 255
	if bad || strings.Contains(id, "/") && id != "/" { // "/" is the root group
		c.errorf("invalid %s", quote(id)).at("linux", "intelRdt", "closID")
	}
	if strings.ContainsFunc(r.L3CacheSchema, func(c rune) bool { return c != '\n' && control(string(c)) }) {
		c.errorf("contains a control character: %s", quote(r.L3CacheSchema)).at("linux", "intelRdt", "l3CacheSchema")
	}
	switch s := r.MemBwSchema; {
	case s != "" && !strings.HasPrefix(s, "MB:"):
		c.errorf(`must begin with "MB:", found %s`, quote(s)).at("linux", "intelRdt", "memBwSchema")
	case control(s):
		c.errorf("contains a control character: %s", quote(s)).at("linux", "intelRdt", "memBwSchema")
	}
	for i, line := range r.Schemata {
		if control(line) {
			c.errorf("contains a control character: %s", quote(line)).at("linux", "intelRdt", "schemata", i)
		}
	}
}

var memoryModes = [...]specs.MemoryPolicyModeType{
	specs.MpolDefault, specs.MpolBind, specs.MpolInterleave, specs.MpolWeightedInterleave,
	specs.MpolPreferred, specs.MpolPreferredMany, specs.MpolLocal,
}

var memoryFlags = [...]specs.MemoryPolicyFlagType{
	specs.MpolFNumaBalancing, specs.MpolFRelativeNodes, specs.MpolFStaticNodes,
}

func (c *checker) memoryPolicy(m *specs.LinuxMemoryPolicy) {
	if m == nil {
		return
	}
	at := []any{"linux", "memoryPolicy"}
	known := has(memoryModes[:], m.Mode)
	switch {
	case m.Mode == "":
		c.missing().at(under(at, "mode")...)
	case !known:
		c.errorf("unknown %s", quote(string(m.Mode))).
			words("invalid memory policy mode " + quote(string(m.Mode))).at(under(at, "mode")...)
	}
	for i, flag := range m.Flags {
		if !has(memoryFlags[:], flag) {
			c.errorf("unknown %s", quote(string(flag))).
				words("invalid memory policy flag " + quote(string(flag))).at(under(at, "flags", i)...)
		}
	}
	if m.Nodes != "" && !cpuList(m.Nodes) {
		c.errorf("bad list %s", quote(m.Nodes)).
			words("invalid memory policy node " + quote(m.Nodes)).at(under(at, "nodes")...)
		return
	}
	switch m.Mode {
	case specs.MpolDefault, specs.MpolLocal:
		if m.Nodes != "" {
			c.errorf("%s takes no nodes", m.Mode).
				words("mode requires 0 nodes but got " + countNodes(m.Nodes)).at(under(at, "nodes")...)
		}
	case specs.MpolPreferred:
	default:
		if known && m.Nodes == "" {
			c.errorf("required with %s", m.Mode).at(under(at, "nodes")...)
		}
	}
}

func (c *checker) personality(p *specs.LinuxPersonality) {
	if p == nil {
		return
	}
	switch {
	case p.Domain == "":
		c.missing().at("linux", "personality", "domain")
	case p.Domain != specs.PerLinux && p.Domain != specs.PerLinux32:
		c.errorf("unknown %s", quote(string(p.Domain))).
			words("invalid personality domain "+bare(string(p.Domain))).at("linux", "personality", "domain")
	}
	if len(p.Flags) > 0 {
		c.warn("no flags are defined, ignored").at("linux", "personality", "flags")
	}
}
