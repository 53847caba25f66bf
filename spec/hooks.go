package spec

import (
	"path"
	"sort"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A hookList is one kind of hooks.
type hookList struct {
	name   string
	hooks  []specs.Hook
	onHost bool // its paths are resolved in the runtime's mount namespace
}

func hookLists(h *specs.Hooks) []hookList {
	if h == nil {
		return nil
	}
	return []hookList{
		{"prestart", h.Prestart, true}, //nolint:staticcheck // deprecated, but in use
		{"createRuntime", h.CreateRuntime, true},
		{"createContainer", h.CreateContainer, true},
		{"startContainer", h.StartContainer, false},
		{"poststart", h.Poststart, true},
		{"poststop", h.Poststop, true},
	}
}

func (c *checker) hooks() {
	for _, list := range hookLists(c.Spec.Hooks) {
		for i := range list.hooks {
			c.hook(&list.hooks[i], func(more ...any) []any {
				return append([]any{"hooks", list.name, i}, more...)
			})
		}
	}
}

func (c *checker) hook(h *specs.Hook, at spot) {
	switch {
	case h.Path == "":
		c.missing().at(at("path")...)
	case !path.IsAbs(h.Path):
		c.errorf("must be absolute, found %s", quote(h.Path)).at(at("path")...)
	}
	if h.Timeout != nil && *h.Timeout <= 0 {
		c.errorf("must be greater than zero, found %d", *h.Timeout).at(at("timeout")...)
	}
	for j, e := range h.Env {
		switch strings.IndexByte(e, '=') {
		case -1:
			c.errorf(`missing "=" in %s`, quote(e)).at(at("env", j)...)
		case 0:
			c.errorf("empty name in %s", quote(e)).at(at("env", j)...)
		}
	}
}

const systemdProperty = "org.systemd.property."

// mountContextType says which option carries linux.mountLabel (SELinux, mount(8)).
const mountContextType = "run.oci.mount_context_type"

var mountContextTypes = [...]string{"context", "fscontext", "defcontext", "rootcontext"}

func (c *checker) annotations() {
	for _, name := range sortedKeys(c.Spec.Annotations) {
		if name == "" {
			c.errorAt("empty key").at("annotations")
		}
		if value := c.Spec.Annotations[name]; name == mountContextType && !has(mountContextTypes[:], value) {
			c.unknownWord(value, mountContextTypes[:]).at("annotations", key(name))
		}
		property, ok := strings.CutPrefix(name, systemdProperty)
		if !ok || !c.opts.SystemdCgroup {
			continue
		}
		if !allowedProperty(property) {
			c.errorf("not an allowed property: %s", quote(property)).at("annotations", key(name))
		}
	}
}

// allowedProperty reports whether a container may set a property of its systemd
// unit. Engines copy annotations from users, and systemd runs or reads some
// properties as root on the host (ExecStartPre, RootDirectory, User), so only
// those about life time, order and resources pass.
func allowedProperty(name string) bool {
	switch name {
	case "After", "Before", "CollectMode", "DefaultDependencies", "Description", "FinalKillSignal", "KillMode", "KillSignal",
		"ManagedOOMPreference", "OOMPolicy", "SendSIGHUP", "SendSIGKILL", "RuntimeMaxSec", "RuntimeMaxUSec", "TimeoutStopSec", "TimeoutStopUSec":
		return true
	}
	for i := 0; i < len(name); i++ {
		if !letter(name[i]) {
			return false
		}
	}
	for _, group := range [...]string{"Allowed", "CPU", "IO", "Memory", "Startup", "Tasks"} {
		if strings.HasPrefix(name, group) && len(name) > len(group) {
			return true
		}
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
