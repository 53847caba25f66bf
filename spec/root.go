package spec

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const maxPath = 4095 // bytes, PATH_MAX without its end

// version only warns: engines write anything there.
func (c *checker) version() {
	v := c.Spec.Version
	switch major, ok := majorVersion(v); {
	case v == "" && !c.present("ociVersion"):
		c.warn("required field missing").at("ociVersion")
	case !ok:
		text := "not a version"
		if v != "" {
			text += ": " + quote(v)
		}
		c.warn(text).at("ociVersion")
	case major != 1:
		c.warn(bare(v) + " is not supported (1.x)").at("ociVersion")
	}
}

// majorVersion reads MAJOR.MINOR.PATCH with the suffixes of semver.org.
func majorVersion(v string) (int, bool) {
	core, suffix := v, ""
	if i := strings.IndexAny(v, "-+"); i >= 0 {
		core, suffix = v[:i], v[i+1:]
		if suffix == "" {
			return 0, false
		}
	}
	parts := strings.Split(core, ".")
	if len(parts) != 3 || control(suffix) {
		return 0, false
	}
	major := 0
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil || len(p) > 1 && p[0] == '0' {
			return 0, false
		}
		if i == 0 {
			major = int(n)
		}
	}
	return major, true
}

func (c *checker) root() {
	r := c.Spec.Root
	if r == nil {
		c.errorAt("required on Linux").words("root must be specified").at("root")
		return
	}
	switch {
	case r.Path == "":
		c.errorAt("must not be empty").words("invalid rootfs").at("root", "path")
		return
	case len(r.Path) > maxPath:
		c.errorf("longer than %d bytes", maxPath).words("invalid rootfs").at("root", "path")
		return
	}
	if c.nul(r.Path) {
		c.errorAt(nulText).at("root", "path")
	}
	root := c.RootPath()
	if root == "/" {
		c.errorAt("must not be the host root").words("invalid rootfs").at("root", "path")
	}
	if s := c.opts.StateRoot; s != "" {
		if rel, err := filepath.Rel(s, root); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			c.errorAt("lies inside the state root").words("invalid rootfs").at("root", "path")
		}
	}
}

func (c *checker) hostnames() {
	for _, h := range []struct{ name, value string }{
		{"hostname", c.Spec.Hostname}, {"domainname", c.Spec.Domainname},
	} {
		if h.value == "" {
			continue
		}
		if !c.has(specs.UTSNamespace) {
			c.errorAt("needs a uts namespace").
				words("unable to set hostname without a private UTS namespace").at(h.name)
		}
		if len(h.value) > 64 {
			c.errorAt("longer than 64 bytes").at(h.name)
		}
		if control(h.value) {
			c.errorf("contains a control character: %s", quote(h.value)).at(h.name)
		}
	}
}
