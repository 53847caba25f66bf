package tour

import (
	"os"
	"strconv"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func TestQueuesOutsideAreInvisibleInside(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		key, name := hostQueues(t)
		r := s.runtime.Run(s.bundle(t, lab.Check("msg-probe", key, "--", "mq-probe", name, "--", "list", "/dev/mqueue"))).OK()
		if r.Stdout != "no\nno\n" {
			t.Errorf("the checker says %q; want no System V queue, no POSIX queue, an empty /dev/mqueue", r.Stdout)
		}
	})
}

func TestQueuesInsideAreInvisibleOutside(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		key, name := queueNames()
		b := s.bundle(t, lab.Check("msg-create", key, "--", "mq-create", name, "--", "list", "/dev/mqueue", "--", "sleep", "forever"))
		c := s.runtime.Launch(b)
		c.Says(name)
		if out := lab.Host(t, "msg-probe", key, "--", "mq-probe", name); out != "no\nno" {
			t.Errorf("on the host the queues of the container are there: %q", out)
		}
	})
}

// Without a namespace of its own the container sees the host's queues: the two tests above
// can fail.
func TestQueuesWithoutNamespaceAreTheHosts(t *testing.T) {
	s := asRoot(t)
	key, name := hostQueues(t)
	b := s.bundle(t, lab.Without(specs.IPCNamespace), lab.Check("msg-probe", key, "--", "mq-probe", name))
	if out := s.runtime.Run(b).OK().Stdout; out != "yes\nyes\n" {
		t.Errorf("the checker says %q, want yes twice", out)
	}
}

func queueNames() (key, name string) {
	n := strconv.Itoa(os.Getpid())
	return strconv.Itoa(0x6c000000 + os.Getpid()), "lab-" + n
}

// hostQueues makes a queue of each sort on the host.
func hostQueues(t *testing.T) (key, name string) {
	t.Helper()
	key, name = queueNames()
	lab.Host(t, "msg-create", key)
	t.Cleanup(func() { lab.Host(t, "msg-remove", key) })
	lab.Host(t, "mq-create", name)
	t.Cleanup(func() { lab.Host(t, "mq-remove", name) })
	if out := lab.Host(t, "msg-probe", key, "--", "mq-probe", name); out != "yes\nyes" {
		t.Fatalf("the host has no queues: %q", out)
	}
	return key, name
}
