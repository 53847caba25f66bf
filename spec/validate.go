package spec

// Validate checks the configuration by itself: nothing is looked up in the
// file system or the kernel. It returns all problems, in file order.
//
// A Bundle that Load returned beside an error can be validated too; what is
// said about the values that were left out should then be dropped, which is
// what Check does.
func (b *Bundle) Validate(opts Options) Problems {
	c := &checker{Bundle: b, opts: opts, inConfig: true}
	c.version()
	if c.process = b.Spec.Process; c.process != nil {
		c.checkProcess()
	} else {
		c.errorAt("is required").words("process property must not be empty").at("process")
	}
	c.root()
	c.hostnames()
	c.mounts()
	c.hooks()
	c.annotations()
	if l := b.Spec.Linux; l != nil {
		c.namespaces(l)
		c.rootlessUser()
		c.userMappings(l)
		c.timeOffsets(l)
		c.netDevices(l)
		c.sysctls(l)
		c.devices(l)
		c.resources(l.Resources)
		c.cgroupsPath(l)
		c.seccomp(l.Seccomp)
		c.restrictedPaths(l)
		c.propagation(l)
		c.mountLabel(l)
		c.intelRdt(l.IntelRdt)
		c.memoryPolicy(l.MemoryPolicy)
		c.personality(l.Personality)
	}
	c.unknownKeys()
	return b.inFileOrder(c.found)
}
