package cgroup

import (
	"errors"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/internal/need"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// checkBeforeUpdate is about v2, where a limit below what is used would kill.
func TestCheckBeforeUpdate(t *testing.T) {
	need.Cgroup2(t)
	g := create(t, pathsIn(t, "check", hierarchies(t)...))
	start(t, g, "head -c 20000000 /dev/zero | tail -c 20000000 >/dev/null & x=$(head -c 8000000 /dev/zero | tr '\\0' x); echo ready; sleep 60; :")
	stored := &specs.LinuxResources{Memory: &specs.LinuxMemory{CheckBeforeUpdate: new(true)}}
	change := memory(specs.LinuxMemory{Limit: new(int64(1 << 20))})
	_, err := g.Update(stored, &change)
	if err == nil || !strings.HasPrefix(err.Error(), "linux.resources.memory.limit: rejecting memory limit 1048576 <= usage ") {
		t.Errorf("%v", err)
	}
	g.holds(t, want{"memory", "memory.max", "max"})
}

// A smaller limit than what is used is refused by v1, in words that are matched.
func TestUpdateBelowUsage(t *testing.T) {
	need.Cgroup1(t) // v2 kills instead
	g := create(t, pathsIn(t, "below", hierarchies(t)...))
	if _, err := g.Update(nil, new(memory(specs.LinuxMemory{Limit: new(int64(64 << 20)), Swap: new(int64(64 << 20))}))); err != nil {
		t.Fatal(err)
	}
	start(t, g, "x=$(head -c 16000000 /dev/zero | tr '\\0' x); echo ready; sleep 60; :")
	_, err := g.Update(nil, new(memory(specs.LinuxMemory{Limit: new(int64(1 << 20)), Swap: new(int64(1 << 20))})))
	if err == nil || !errors.Is(err, unix.EBUSY) ||
		!strings.HasPrefix(err.Error(), "linux.resources.memory.limit: unable to set memory limit to 1048576 (current usage: ") {
		t.Errorf("%v", err)
	}
	g.holds(t, want{"memory", "memory.limit_in_bytes", "67108864"})
	g.holds(t, want{"memory", "memory.memsw.limit_in_bytes", "67108864"})
}
