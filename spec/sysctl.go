package spec

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// SysctlPath gives the path of a kernel parameter below /proc/sys. A name may
// be written with dots or with slashes: whichever comes first separates, and
// the other one then stands for itself ("net/ipv4/conf/eth0.1/rp_filter"; in
// the dotted form a slash stands for a dot). Empty if it is no valid name.
func SysctlPath(name string) string {
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		name = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, name)
	}
	if control(name) || len(name) > maxPath {
		return ""
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 {
			return ""
		}
	}
	return name
}

func (c *checker) sysctls(l *specs.Linux) {
	for _, name := range sortedKeys(l.Sysctl) {
		at := []any{"linux", "sysctl", key(name)}
		if v := l.Sysctl[name]; control(v) {
			c.errorf("contains a control character: %s", quote(v)).at(at...)
		}
		p := SysctlPath(name)
		if p == "" {
			c.errorAt("invalid sysctl name").at(at...)
			continue
		}
		if text := c.sysctlScope(p); text != "" {
			c.errorAt(text).words("sysctl " + quote(name) + " is not in a separate kernel namespace").at(at...)
		}
	}
}

// sysctlScope says why a parameter may not be set for this container: it must
// belong to a namespace that the container does not share with the host.
func (c *checker) sysctlScope(p string) string {
	switch p {
	case "kernel/hostname":
		return `conflicts with "hostname"`
	case "kernel/domainname":
		return c.unless(specs.UTSNamespace, "needs a uts namespace")
	case "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall",
		"kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced":
		return c.unless(specs.IPCNamespace, "needs an ipc namespace")
	}
	switch {
	case strings.HasPrefix(p, "fs/mqueue/"):
		return c.unless(specs.IPCNamespace, "needs an ipc namespace")
	case strings.HasPrefix(p, "net/"):
		return c.unless(specs.NetworkNamespace, "not allowed with the host network namespace")
	case strings.HasPrefix(p, "user/"):
		return c.unless(specs.UserNamespace, "needs a user namespace")
	}
	return "not in a separate namespace"
}

func (c *checker) unless(kind specs.LinuxNamespaceType, text string) string {
	if c.has(kind) && !slices.Contains(c.shared, kind) {
		return ""
	}
	return text
}

// countNodes counts the numbers in a valid list.
func countNodes(list string) string {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		a, _ := cpuNumber(low)
		b := a
		if isRange {
			b, _ = cpuNumber(high)
		}
		n += b - a + 1
	}
	return strconv.Itoa(n)
}
