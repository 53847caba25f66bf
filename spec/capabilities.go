package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A capabilitySet has a bit for each capability, in the kernel's order.
type capabilitySet uint64

func (c *checker) capabilities(caps *specs.LinuxCapabilities) {
	if caps == nil {
		return
	}
	c.capabilitySet("bounding", caps.Bounding)
	effective := c.capabilitySet("effective", caps.Effective)
	inheritable := c.capabilitySet("inheritable", caps.Inheritable)
	permitted := c.capabilitySet("permitted", caps.Permitted)
	ambient := c.capabilitySet("ambient", caps.Ambient)
	for i, name := range capabilityNames {
		bit := capabilitySet(1) << i
		if effective&^permitted&bit != 0 {
			c.errorAt(name+" is not permitted").at("process", "capabilities", "effective")
		}
		// Ambient capabilities are those both permitted and inheritable, see
		// capabilities(7). Peers start the container without them.
		reason := ""
		switch {
		case ambient&^inheritable&bit != 0:
			reason = " is not inheritable"
		case ambient&^permitted&bit != 0:
			reason = " is not permitted"
		default:
			continue
		}
		c.warn(name+reason).words("can't raise ambient capability "+name).at("process", "capabilities", "ambient")
	}
}

// capabilitySet reads one list of names.
func (c *checker) capabilitySet(list string, names []string) capabilitySet {
	var set capabilitySet
	for _, name := range names {
		if i := CapabilityNumber(name); i >= 0 {
			set |= 1 << i
		} else {
			c.unknownCapability(list, name)
		}
	}
	return set
}

// unknownCapability is a warning: the specification wants containers of a newer
// kernel to start on an older one.
func (c *checker) unknownCapability(set, name string) {
	if len(c.found) >= maxFound {
		return // do not even look for similar names
	}
	text := fmt.Sprintf("unknown %s ignored", quote(name))
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "CAP_") {
		upper = "CAP_" + upper
	}
	if has(capabilityNames[:], upper) {
		text += ", did you mean " + upper + "?"
	} else if near := nearest(upper, capabilityNames[:]); near != "" {
		text += ", did you mean " + near + "?"
	}
	c.warn(text).words("ignoring unknown or unavailable capabilities: ["+bare(name)+"]").
		at("process", "capabilities", set)
}

// CapabilityNames are the capabilities that are known here, in the order of the kernel's
// numbers (include/uapi/linux/capability.h).
func CapabilityNames() []string { return slices.Clone(capabilityNames[:]) }

// CapabilityNumber is the kernel's number of a capability, or -1 if there is none of that
// name.
func CapabilityNumber(name string) int { return index(capabilityNames[:], name) }

var capabilityNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
	"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
	"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}
