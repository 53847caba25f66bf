package lab

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// HookLog is where hooks and programs of a bundle write what they see: a file of its root
// file system.
const HookLog = "/tmp/hooks.log"

// A HookRecord is what a hook saw; see integration/cmd/hook.
type HookRecord struct {
	Label      string
	Args, Env  []string
	Cwd        string
	Pid, UID   int
	Stdin      string
	Namespaces map[string]string
}

// State is what the hook was given.
func (r HookRecord) State(t testing.TB) specs.State {
	t.Helper()
	var s specs.State
	must(t, json.Unmarshal([]byte(r.Stdin), &s))
	return s
}

// HookKinds are the six, in the order of a container's life.
func HookKinds() []string {
	return []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}
}

// UseHooks puts the program for hooks, and its empty log, into the bundle.
func (b *Bundle) UseHooks() *Bundle {
	b.t.Helper()
	shareProgram(b.t, theBench.hook, filepath.Join(b.Rootfs, "hook"))
	b.File(HookLog, "", 0o666)
	return b
}

// Hook adds a hook of a kind: with a label for the log, and what it is to do afterwards.
// It is not written before the next Edit.
func (b *Bundle) Hook(kind, label string, deeds ...string) *specs.Hook {
	b.t.Helper()
	h := specs.Hook{Path: theBench.hook, Args: append([]string{"hook", filepath.Join(b.Rootfs, HookLog), label}, deeds...)}
	if kind == "startContainer" {
		h.Path, h.Args[1] = "/hook", HookLog
	}
	if b.Spec.Hooks == nil {
		b.Spec.Hooks = &specs.Hooks{}
	}
	list := map[string]*[]specs.Hook{
		"prestart":        &b.Spec.Hooks.Prestart, //nolint:staticcheck // deprecated, and still what engines send
		"createRuntime":   &b.Spec.Hooks.CreateRuntime,
		"createContainer": &b.Spec.Hooks.CreateContainer,
		"startContainer":  &b.Spec.Hooks.StartContainer,
		"poststart":       &b.Spec.Hooks.Poststart,
		"poststop":        &b.Spec.Hooks.Poststop,
	}[kind]
	*list = append(*list, h)
	return &(*list)[len(*list)-1]
}

// HookRecords reads the log.
func (b *Bundle) HookRecords() []HookRecord {
	b.t.Helper()
	data, err := os.ReadFile(filepath.Join(b.Rootfs, HookLog))
	must(b.t, err)
	var list []HookRecord
	for line := range bytes.Lines(data) {
		var r HookRecord
		must(b.t, json.Unmarshal(line, &r))
		list = append(list, r)
	}
	return list
}

// HookLabels are the labels of the log, in order.
func (b *Bundle) HookLabels() []string {
	b.t.Helper()
	var list []string
	for _, r := range b.HookRecords() {
		list = append(list, r.Label)
	}
	return list
}
