package spec

import (
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// What the kernel takes as one command is one line: a name with a space or a line break in
// it would be another command than the one that was meant.

// blockDevices checks the numbers of devices in lists that limit them.
func (c *checker) blockDevices(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	at := []any{"linux", "resources", "blockIO"}
	number := func(n, most int64, place []any) {
		if n < 0 || n > most {
			c.errorf("%d is %s", n, rangeText(0, uint64(most))).at(place...)
		}
	}
	for i, d := range b.WeightDevice {
		number(d.Major, maxMajor, under(at, "weightDevice", i, "major"))
		number(d.Minor, maxMinor, under(at, "weightDevice", i, "minor"))
	}
	for _, l := range [...]struct {
		name    string
		devices []specs.LinuxThrottleDevice
	}{
		{"throttleReadBpsDevice", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice},
	} {
		for i, d := range l.devices {
			number(d.Major, maxMajor, under(at, l.name, i, "major"))
			number(d.Minor, maxMinor, under(at, l.name, i, "minor"))
		}
	}
}

func (c *checker) priorities(r *specs.LinuxResources) {
	if r.Network == nil {
		return
	}
	for i, p := range r.Network.Priorities {
		c.interfaceName(p.Name, "linux", "resources", "network", "priorities", i, "name")
	}
}

func (c *checker) rdma(r *specs.LinuxResources) {
	for _, name := range sortedKeys(r.Rdma) {
		if name == "" || control(name) || strings.ContainsAny(name, " /") {
			c.errorf("invalid device name %s", quote(name)).at("linux", "resources", "rdma", key(name))
		}
	}
}

// unifiedValue checks what is to be written to a file of cgroup v2. Only some files take more
// than one line; of controllers that are not known here it is not known.
func (c *checker) unifiedValue(name, value string, at []any) {
	value = strings.TrimSuffix(value, "\n")
	lines := strings.Count(value, "\n") + 1
	controller, _, _ := strings.Cut(name, ".")
	switch {
	case control(strings.NewReplacer("\n", "", "\t", "").Replace(value)):
		c.errorAt("contains a control character").at(at...)
	case lines > 1 && has([]string{"memory", "cpu", "cpuset", "pids", "hugetlb"}, controller):
		c.errorAt("takes one line, found " + strconv.Itoa(lines)).at(at...)
	}
}
