package crash

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// Somebody who may open the start socket is connected to init and says nothing: start gives
// up, and what it has given up does not happen later.
func TestBusyStartSocket(t *testing.T) {
	need.Root(t)
	if testing.Short() {
		t.Skip("start waits for half a minute")
	}
	r := lab.New(t)
	c := r.Create(lab.NewBundle(t, lab.Check("sleep", "forever")))
	conn, err := net.Dial("unixpacket", filepath.Join(r.Root, c.ID, "start.sock"))
	must(t, err)
	defer conn.Close()
	begin := time.Now()
	r.Do("start", c.ID).Failed("init does not answer: another process is connected to its start socket")
	if took := time.Since(begin); took < 20*time.Second || took > 50*time.Second {
		t.Errorf("it took %v", took)
	}
	must(t, conn.Close())
	time.Sleep(100 * time.Millisecond) // for init to hear of all that has gone
	if got := c.State().Status; got != specs.StateCreated {
		t.Fatalf("the container is %s", got)
	}
	// A start that is killed while it waits does not happen later either.
	conn, err = net.Dial("unixpacket", filepath.Join(r.Root, c.ID, "start.sock"))
	must(t, err)
	defer conn.Close()
	cmd := r.Command("start", c.ID)
	must(t, cmd.Start())
	time.Sleep(300 * time.Millisecond)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	must(t, conn.Close())
	time.Sleep(100 * time.Millisecond)
	if got := c.State().Status; got != specs.StateCreated {
		t.Errorf("after a start that was killed the container is %s", got)
	}
	r.Do("start", c.ID).OK()
	if got := c.State().Status; got != specs.StateRunning {
		t.Errorf("the container is %s", got)
	}
	c.Kill("KILL").OK()
	c.Wait()
	c.Delete().OK()
}
