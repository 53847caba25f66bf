package libseccomp

import (
	"encoding/json"
	"slices"

	containerd "github.com/containerd/containerd/v2/contrib/seccomp"
	podman "github.com/containers/common/pkg/seccomp"
	docker "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// A template is a default profile of Docker and of Podman as both write it: with conditions
// that the engine resolves.
type template struct {
	DefaultAction   specs.LinuxSeccompAction `json:"defaultAction"`
	DefaultErrnoRet *uint                    `json:"defaultErrnoRet"`
	ArchMap         []struct {
		Arch      specs.Arch   `json:"architecture"`
		SubArches []specs.Arch `json:"subArchitectures"`
	} `json:"archMap"`
	Syscalls []struct {
		Name     string                   `json:"name"`
		Names    []string                 `json:"names"`
		Action   specs.LinuxSeccompAction `json:"action"`
		ErrnoRet *uint                    `json:"errnoRet"`
		Args     []*specs.LinuxSeccompArg `json:"args"`
		Includes condition                `json:"includes"`
		Excludes condition                `json:"excludes"`
	} `json:"syscalls"`
}

type condition struct {
	Caps   []string `json:"caps"`
	Arches []string `json:"arches"`
}

// meets says whether an entry is meant for an architecture, in Go's words, and for a set of
// capabilities. Kernels are taken to be new.
func meets(in, out condition, goarch string, caps []string) bool {
	if len(in.Arches) > 0 && !slices.Contains(in.Arches, goarch) || slices.Contains(out.Arches, goarch) {
		return false
	}
	for _, c := range in.Caps {
		if !slices.Contains(caps, c) {
			return false
		}
	}
	return !slices.ContainsFunc(out.Caps, func(c string) bool { return slices.Contains(caps, c) })
}

// resolve does what the engine does.
func (t *template) resolve(native specs.Arch, goarch string, caps []string) *specs.LinuxSeccomp {
	p := &specs.LinuxSeccomp{DefaultAction: t.DefaultAction, DefaultErrnoRet: t.DefaultErrnoRet}
	for _, m := range t.ArchMap {
		if m.Arch == native {
			p.Architectures = append([]specs.Arch{m.Arch}, m.SubArches...)
		}
	}
	for _, s := range t.Syscalls {
		if !meets(s.Includes, s.Excludes, goarch, caps) {
			continue
		}
		call := specs.LinuxSyscall{Names: s.Names, Action: s.Action, ErrnoRet: s.ErrnoRet}
		if s.Name != "" {
			call.Names = append(call.Names, s.Name)
		}
		for _, a := range s.Args {
			call.Args = append(call.Args, *a)
		}
		p.Syscalls = append(p.Syscalls, call)
	}
	return p
}

func templateOf(profile any) (*template, error) {
	text, err := json.Marshal(profile)
	if err != nil {
		return nil, err
	}
	t := new(template)
	return t, json.Unmarshal(text, t)
}

// An engine makes its default profile.
type engine func(native specs.Arch, goarch string, caps []string) *specs.LinuxSeccomp

// engines are those with a default profile of their own.
func engines() (map[string]engine, error) {
	d, err := templateOf(docker.DefaultProfile())
	if err != nil {
		return nil, err
	}
	p, err := templateOf(podman.DefaultProfile())
	if err != nil {
		return nil, err
	}
	return map[string]engine{
		"docker": d.resolve,
		"podman": p.resolve,
		"containerd": func(native specs.Arch, _ string, caps []string) *specs.LinuxSeccomp {
			s := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
			profile := containerd.DefaultProfile(s)
			profile.Architectures = nil // of the machine that this runs on
			for _, m := range d.ArchMap {
				if m.Arch == native {
					profile.Architectures = append([]specs.Arch{m.Arch}, m.SubArches...)
				}
			}
			return profile
		},
	}, nil
}
