package process

import (
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/linux"
)

func TestGiveStreams(t *testing.T) {
	need.Root(t)
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	owner := func(f *os.File) uint32 {
		st, err := linux.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		return st.Uid
	}
	nobodys := owner(null)
	in := input()
	in.Process.User.UID = 1000
	if err := GiveStreams(in, []*os.File{null, file, w}); err != nil {
		t.Fatal(err)
	}
	if owner(null) != nobodys || owner(file) != 0 || owner(w) != 1000 {
		t.Errorf("owners: null %d, file %d, pipe %d", owner(null), owner(file), owner(w))
	}
	in.Bundle.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UserNamespace}}
	if err := GiveStreams(in, []*os.File{w}); err != nil || owner(w) != 1000 {
		t.Errorf("unmapped user: %v, owner %d", err, owner(w))
	}
	in.Bundle.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 5000, Size: 10}, {ContainerID: 1000, HostID: 7000, Size: 1}}
	if err := GiveStreams(in, []*os.File{w}); err != nil || owner(w) != 7000 {
		t.Errorf("mapped user: %v, owner %d", err, owner(w))
	}
}
