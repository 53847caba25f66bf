package resources

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// opener tries to open the kernel's log for writing ten times a second, and says how that
// went.
const opener = `while :; do if /bin/busybox true >/dev/log-node; then echo opened; else echo refused; fi 2>/dev/null; /bin/busybox sleep 0.1; done`

func rules(list ...specs.LinuxDeviceCgroup) *specs.LinuxResources {
	return &specs.LinuxResources{Devices: list}
}

func kmsg(allow bool) specs.LinuxDeviceCgroup {
	return specs.LinuxDeviceCgroup{Allow: allow, Type: "c", Major: ptr[int64](1), Minor: ptr[int64](11), Access: "rw"}
}

// withLog puts a node of the kernel's log into the container, which the device rules must
// guard.
func withLog(s *specs.Spec) {
	s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/log-node", Type: "c", Major: 1, Minor: 11}}
}

var denyAll = specs.LinuxDeviceCgroup{Allow: false, Access: "rwm"} //nolint:gochecknoglobals // a constant

// What is not allowed is refused, what is allowed is not, and the devices that every
// container has are there in any case.
func TestDevices(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []specs.LinuxDeviceCgroup
		want  string
	}{
		{"denied", []specs.LinuxDeviceCgroup{denyAll}, "refused"},
		{"allowed", []specs.LinuxDeviceCgroup{denyAll, kmsg(true)}, "opened"},
		{"denied again", []specs.LinuxDeviceCgroup{denyAll, kmsg(true), kmsg(false)}, "refused"},
		{"everything", []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}, "opened"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := asRoot(t)
			line := `if /bin/busybox true >/dev/log-node; then echo opened; else echo refused; fi 2>/dev/null; echo x >/dev/null && echo null`
			b := shell(t, line, withLog, limits(rules(c.rules...)))
			if res := r.Run(b).OK(); res.Stdout != c.want+"\nnull\n" {
				t.Errorf("the device is %v, want %s", res, c.want)
			}
		})
	}
}

// Rules can be changed, whole, while the container runs, and an update without rules does
// not touch them.
func TestUpdateDevices(t *testing.T) {
	r := asRoot(t)
	c := r.Launch(shell(t, opener, withLog, limits(rules(denyAll))))
	groupOf(t, c, "devices")
	c.Says("refused")
	update(r, c, `{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"rw"}]}`).OK()
	c.Says("opened")
	r.Do("update", c.ID, "--pids-limit", "50").OK()
	n := strings.Count(c.Stdout(), "\n")
	if last := c.Line(n + 3); last != "opened" {
		t.Errorf("after an update of something else the device is %s", last)
	}
	update(r, c, `{"devices":[{"allow":false,"access":"rwm"}]}`).OK()
	n = strings.Count(c.Stdout(), "\n")
	if last := c.Line(n + 3); last != "refused" {
		t.Errorf("after it was taken back the device is %s", last)
	}
}

// update gives the runtime limits as JSON on standard input, as engines do.
func update(r *lab.Runtime, c *lab.Container, json string) lab.Result {
	cmd := r.Command("update", "--resources=-", c.ID)
	cmd.Stdin = strings.NewReader(json)
	return r.Finish(cmd)
}
