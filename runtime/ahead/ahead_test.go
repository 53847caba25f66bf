package ahead

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/ns"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// What is guessed of a configuration is what the thread has to make for it.
func TestGuessIsRight(t *testing.T) {
	fresh := func(kinds ...specs.LinuxNamespaceType) (list []specs.LinuxNamespace) {
		for _, k := range kinds {
			list = append(list, specs.LinuxNamespace{Type: k})
		}
		return list
	}
	joined := func(kind specs.LinuxNamespaceType) specs.LinuxNamespace {
		return specs.LinuxNamespace{Type: kind, Path: "/proc/1/ns/" + string(kind)}
	}
	all := fresh("pid", "network", "ipc", "uts", "mount", "cgroup")
	for name, list := range map[string][]specs.LinuxNamespace{
		"all":              all,
		"mount alone":      fresh("mount"),
		"pid alone":        fresh("pid"),
		"a pod's network":  append(fresh("pid", "uts", "mount"), joined("network"), joined("ipc")),
		"a user namespace": append(fresh("user"), all...),
		"a time namespace": append(fresh("time"), all...),
		"a joined user":    append(fresh("mount"), joined("user")),
		"a joined pid":     append(fresh("mount"), joined("pid")),
		"a joined mount":   append(fresh("pid"), joined("mount")),
	} {
		for _, indent := range []string{"", "\t"} {
			s := specs.Spec{Version: "1.3.0", Linux: &specs.Linux{Namespaces: list}}
			raw, err := json.MarshalIndent(s, "", indent)
			if indent == "" {
				raw, err = json.Marshal(s)
			}
			if err != nil {
				t.Fatal(err)
			}
			set := ns.Compile(&step.Input{Bundle: &spec.Bundle{Spec: &s}})
			flags, ok := namespaces(string(raw))
			if ok != set.Direct() || ok && flags != set.ThreadFlags() {
				t.Errorf("%s: %#x, %v; the thread makes %#x, %v", name, flags, ok, set.ThreadFlags(), set.Direct())
			}
		}
	}
}

// What nobody would write is not guessed at.
func TestGuessGivesUp(t *testing.T) {
	whole := `{"linux":{"namespaces":[{"type":"uts"},{"path":"","type":"ipc"}]}}`
	if flags, ok := namespaces(whole); !ok || flags != unix.CLONE_NEWUTS|unix.CLONE_NEWIPC {
		t.Fatalf("%#x, %v", flags, ok)
	}
	end := strings.Index(whole, "]") + 1
	for i := range end {
		if flags, ok := namespaces(whole[:i]); ok {
			t.Errorf("%s: %#x", whole[:i], flags)
		}
	}
	for _, text := range []string{
		`{"annotations":{"namespaces":"x"},"linux":{"namespaces":[{"type":"uts"}]}}`,
		`{"namespaces":[]}`, `{"namespaces":[{}]}`, `{"namespaces":[{"type":"uts","path":null}]}`, `{"namespaces":[{"type":7}]}`,
		`{"namespaces":[{"type":"u\u0074s"}]}`, `{"namespaces":[{"type":"other"}]}`, `{"namespaces":[{"type":"uts"} {"type":"ipc"}]}`,
	} {
		if flags, ok := namespaces(text); ok {
			t.Errorf("%s: %#x", text, flags)
		}
	}
}

func FuzzGuess(f *testing.F) {
	f.Add(`{"linux":{"namespaces":[{"type":"uts"},{"path":"/x","type":"network"}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		const known = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
		if flags, ok := namespaces(text); flags&^known != 0 && ok {
			t.Errorf("%#x", flags)
		}
	})
}
