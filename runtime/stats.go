package runtime

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/ocirt/ocirt/runtime/internal/cgroup"
)

// Stats is what a container has used, in the form and under the names that readers of
// `events --stats` know.
type Stats struct {
	cgroup.Stats
	NetworkInterfaces []NetworkInterface `json:"network_interfaces"`
}

// A NetworkInterface is what has passed one interface of the container's own network
// namespace, loopback excepted. Source: /proc/PID/net/dev.
type NetworkInterface struct {
	Name      string
	RxBytes   uint64
	RxPackets uint64
	RxErrors  uint64
	RxDropped uint64
	TxBytes   uint64
	TxPackets uint64
	TxErrors  uint64
	TxDropped uint64
}

// Stats reads the counters of a container that has not stopped.
func (c *Container) Stats() (*Stats, error) {
	if err := c.trust(); err != nil {
		return nil, err
	}
	status, err := c.Status()
	if err != nil {
		return nil, err
	}
	if status == Stopped || status == Creating {
		return nil, notRunning(c.rec.ID, status)
	}
	return c.stats()
}

func notRunning(id string, status Status) error {
	return stateError(id, "events", status, "container with id %s is not running", id)
}

func (c *Container) stats() (*Stats, error) {
	s, err := c.joinable().Stats()
	if err != nil {
		return nil, fmt.Errorf("cannot read the statistics of container %s: %w", c.rec.ID, err)
	}
	return &Stats{Stats: *s, NetworkInterfaces: c.interfaces()}, nil
}

// interfaces reads the counters of the container's own network; without one of its own it
// has none. It does not matter to anybody if they cannot be read.
func (c *Container) interfaces() []NetworkInterface {
	proc := "/proc/" + strconv.Itoa(c.rec.Pid)
	theirs, err := os.Readlink(proc + "/ns/net")
	ours, err2 := os.Readlink("/proc/self/ns/net")
	if err != nil || err2 != nil || ours == theirs {
		return nil
	}
	text, err := os.ReadFile(proc + "/net/dev")
	if err != nil {
		return nil
	}
	if _, alive, err := c.process().Alive(); err != nil || !alive {
		return nil // it may have been somebody else's by then
	}
	return parseInterfaces(string(text))
}

// parseInterfaces reads proc_pid_net(5), dev: two lines of titles, then for each interface
// its name, eight numbers received and eight sent, of which the first four are ours.
func parseInterfaces(text string) []NetworkInterface {
	var list []NetworkInterface
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		fields := strings.Fields(rest)
		if !ok || name == "lo" || len(fields) < 12 {
			continue
		}
		n := NetworkInterface{Name: name}
		for i, to := range map[int]*uint64{
			0: &n.RxBytes, 1: &n.RxPackets, 2: &n.RxErrors, 3: &n.RxDropped,
			8: &n.TxBytes, 9: &n.TxPackets, 10: &n.TxErrors, 11: &n.TxDropped,
		} {
			*to, _ = strconv.ParseUint(fields[i], 10, 64)
		}
		list = append(list, n)
	}
	return list
}
