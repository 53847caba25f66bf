package spec

import (
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Limits of execve(2).
const (
	maxArg  = 131071    // one string without its end, MAX_ARG_STRLEN with 4 KiB pages
	maxArgs = 6 << 20   // all strings and pointers, three quarters of _STK_LIM
	noID    = 1<<32 - 1 // means "unchanged" in setresuid(2) and its like
)

func (c *checker) checkProcess() {
	p := c.process
	c.args(p)
	c.environment(p)
	c.cwd(p)
	c.user(p)
	c.console(p)
	c.capabilities(p.Capabilities)
	c.rlimits(p.Rlimits)
	if adj := p.OOMScoreAdj; adj != nil && (*adj < -1000 || *adj > 1000) {
		c.errorf("%d is out of range (-1000 to 1000)", *adj).at("process", "oomScoreAdj")
	}
	c.labels(p)
	c.ioPriority(p.IOPriority)
	c.scheduler(p.Scheduler)
	c.affinity(p.ExecCPUAffinity)
}

func (c *checker) args(p *specs.Process) {
	if len(p.Args) == 0 {
		c.errorAt("must not be empty").words("args must not be empty").at("process", "args")
		return
	}
	if p.Args[0] == "" { // the words decide about a caller's exit status
		c.errorAt("must not be empty").words(`exec: "": executable file not found in $PATH`).at("process", "args", 0)
	}
	total := 0
	for i, a := range p.Args {
		c.tooLong(a, "args", i)
		total += len(a) + 9
	}
	for i, e := range p.Env {
		c.tooLong(e, "env", i)
		total += len(e) + 9
	}
	if total > maxArgs {
		f := c.errorf("too long: %d bytes together, more than %d", total, maxArgs)
		f.at("process", "args")
		last := &c.found[len(c.found)-1]
		last.Path += " and " + strings.TrimSuffix(last.Path, "args") + "env"
	}
}

func (c *checker) tooLong(s, list string, i int) {
	if len(s) > maxArg {
		c.errorf("longer than %d bytes", maxArg).at("process", list, i)
	}
	if c.nul(s) {
		c.errorAt(nulText).at("process", list, i)
	}
}

const nulText = "contains a NUL byte"

// nul is for configurations made in memory: in a file the decoder finds them.
func (c *checker) nul(s string) bool {
	return c.Raw == nil && strings.IndexByte(s, 0) >= 0
}

func (c *checker) environment(p *specs.Process) {
	for i, e := range p.Env {
		switch strings.IndexByte(e, '=') {
		case -1:
			c.errorf(`missing "=" in %s`, quote(e)).at("process", "env", i)
		case 0:
			c.errorf("empty name in %s", quote(e)).at("process", "env", i)
		}
	}
}

func (c *checker) cwd(p *specs.Process) {
	switch {
	case p.Cwd == "" && c.present("process", "cwd"):
		c.errorAt("must not be empty").words("Cwd property must not be empty").at("process", "cwd")
	case p.Cwd == "":
		c.errorAt("required field missing").words("Cwd property must not be empty").at("process", "cwd")
	case !path.IsAbs(p.Cwd):
		c.errorf("must be absolute, found %s", quote(p.Cwd)).
			words("Cwd must be an absolute path").at("process", "cwd")
	case len(p.Cwd) > maxPath:
		c.errorf("longer than %d bytes", maxPath).at("process", "cwd")
	}
}

func (c *checker) user(p *specs.Process) {
	u := p.User
	c.userID(u.UID, true, "uid")
	c.userID(u.GID, false, "gid")
	if u.Umask != nil && *u.Umask > 0o777 {
		c.errorf("0%o is larger than 0777", *u.Umask).at("process", "user", "umask")
	}
	if len(u.AdditionalGids) > 0 && c.opts.Rootless {
		c.errorAt("cannot be set in a rootless container").at("process", "user", "additionalGids")
	}
	if len(u.AdditionalGids) > maxEntries {
		c.errorf("more than %d entries", maxEntries).at("process", "user", "additionalGids")
		return
	}
	for i, gid := range u.AdditionalGids {
		if gid == noID {
			c.errorAt(`reserved: 4294967295 means "no group"`).at("process", "user", "additionalGids", i)
			continue
		}
		if list := c.unmapped(gid, false); list != "" {
			c.errorf("%d is not mapped by linux.%s", gid, list).at("process", "user", "additionalGids", i)
		}
	}
}

func (c *checker) userID(id uint32, user bool, name string) {
	if id == noID {
		c.errorAt(reservedID).at("process", "user", name)
	} else if list := c.unmapped(id, user); list != "" {
		c.errorf("%d is not mapped by linux.%s", id, list).at("process", "user", name)
	}
}

const reservedID = "4294967295 is reserved"

// unmapped names the mappings that an id of the container is missing from, if
// there are any and the file alone decides them.
func (c *checker) unmapped(id uint32, user bool) string {
	path, own := c.namespace(specs.UserNamespace)
	if !own || path != "" {
		return ""
	}
	maps, name := c.Spec.Linux.UIDMappings, "uidMappings"
	if !user {
		maps, name = c.Spec.Linux.GIDMappings, "gidMappings"
	}
	if len(maps) == 0 || covers(maps, id) {
		return ""
	}
	return name
}

func covers(maps []specs.LinuxIDMapping, id uint32) bool {
	for _, m := range maps {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return true
		}
	}
	return false
}

func (c *checker) console(p *specs.Process) {
	if p.ConsoleSize == nil {
		return
	}
	if h := p.ConsoleSize.Height; h > math.MaxUint16 {
		c.errorf("larger than 65535, found %d", h).at("process", "consoleSize", "height")
	}
	if w := p.ConsoleSize.Width; w > math.MaxUint16 {
		c.errorf("larger than 65535, found %d", w).at("process", "consoleSize", "width")
	}
}

func (c *checker) labels(p *specs.Process) {
	// An AppArmor profile is written as "exec NAME": a blank or a control
	// character would make it another request.
	if a := p.ApparmorProfile; a != "" && (control(a) || strings.ContainsAny(a, " ")) {
		c.errorf("invalid profile name %s", quote(a)).at("process", "apparmorProfile")
	}
	if l := p.SelinuxLabel; control(l) {
		c.errorf("invalid context %s", quote(l)).at("process", "selinuxLabel")
	}
}

func (c *checker) affinity(a *specs.CPUAffinity) {
	if a == nil {
		return
	}
	for _, list := range []struct{ name, value string }{{"initial", a.Initial}, {"final", a.Final}} {
		if list.value == "" && !c.present("process", "execCPUAffinity", list.name) {
			continue
		}
		if !cpuList(list.value) {
			c.errorf("bad CPU list %s", quote(list.value)).at("process", "execCPUAffinity", list.name)
		}
	}
}

// maxCPU is beyond the CPU and node numbers of any kernel configuration.
const maxCPU = 65535

// cpuList reports whether s has the kernel's list form: "0-3,7".
func cpuList(s string) bool {
	for _, part := range strings.Split(s, ",") {
		low, high, isRange := strings.Cut(part, "-")
		a, ok := cpuNumber(low)
		if !ok {
			return false
		}
		if isRange {
			if b, ok := cpuNumber(high); !ok || b < a {
				return false
			}
		}
	}
	return true
}

func cpuNumber(s string) (int, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= maxCPU
}

func (c *checker) rlimits(limits []specs.POSIXRlimit) {
	var seen uint64
	for i, r := range limits {
		n := index(rlimitNames[:], r.Type)
		switch {
		case r.Type == "":
			c.missing().at("process", "rlimits", i, "type")
		case n < 0:
			c.unknownWord(r.Type, rlimitNames[:]).words("wrong rlimit value: "+bare(r.Type)).
				at("process", "rlimits", i, "type")
		case seen&(1<<n) != 0:
			c.errorAt("duplicate "+r.Type).at("process", "rlimits", i, "type")
		default:
			seen |= 1 << n
		}
		if r.Soft > r.Hard {
			c.errorf("soft %d is above hard %d", r.Soft, r.Hard).at("process", "rlimits", i)
		}
	}
}

var rlimitNames = [...]string{
	"RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS",
	"RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS",
	"RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
}
