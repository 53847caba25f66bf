package runtime

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ocirt/ocirt/runtime/internal/store"
	"github.com/ocirt/ocirt/spec"
)

// Of what comes from a container only the listener of a filter is handed to the agent, who
// would make calls on it.
func TestAgentGetsListenersOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent")
	agent, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close()
	b, err := spec.Parse(t.TempDir(), []byte(`{"ociVersion":"1.3.0","linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW",
		"listenerPath":"`+path+`","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c := &Container{rec: &store.Record{ID: "c", Phase: store.PhaseCreated}}
	if err := c.receiveListener(-1, []*os.File{null}, b); err == nil {
		t.Error("no error")
	}
	if err := agent.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if conn, err := agent.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the agent got %v, %v", conn, err)
	}
}
