package tour

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// pairOfDevices makes a veth pair on the host, with names of this test's process, and
// addresses on the end that will be given away.
func pairOfDevices(t *testing.T) (stays, goes string) {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	stays, goes = fmt.Sprintf("ocs%d", os.Getpid()), fmt.Sprintf("ocg%d", os.Getpid())
	out, err := exec.Command("ip", "link", "add", stays, "type", "veth", "peer", "name", goes).CombinedOutput()
	need.Feature(t, "veth", err == nil, string(out))
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", stays).Run() })
	ip(t, "address", "add", "192.0.2.7/24", "dev", goes)
	ip(t, "-6", "address", "add", "2001:db8:9::7/64", "dev", goes, "nodad")
	ip(t, "link", "set", goes, "mtu", "1400")
	return stays, goes
}

func devices(list map[string]string) lab.Edit {
	return func(s *specs.Spec) {
		s.Linux.NetDevices = map[string]specs.LinuxNetDevice{}
		for host, name := range list {
			s.Linux.NetDevices[host] = specs.LinuxNetDevice{Name: name}
		}
	}
}

func onHost(name string) bool {
	_, err := os.Stat("/sys/class/net/" + name)
	return err == nil
}

// A device is in the container, under its new name, with its addresses, up; without and
// with a user namespace.
func TestNetDevices(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*testing.T) stance
	}{{"root", asRoot}, {"mapped", asRootMapped}} {
		for to, want := range map[string]string{"": "", "eth0": "eth0", "net%d": "net0"} {
			t.Run(c.name+" as "+to, func(t *testing.T) {
				_, goes := pairOfDevices(t)
				s := c.make(t)
				r := s.runtime.Report(s.bundle(t, devices(map[string]string{goes: to})))
				if want == "" {
					want = goes
				}
				var names []string
				for _, i := range r.Interfaces {
					names = append(names, i.Name)
					if i.Name != want {
						continue
					}
					if !slices.Contains(i.Flags, "up") || !slices.Contains(i.Addresses, "192.0.2.7/24") || !slices.Contains(i.Addresses, "2001:db8:9::7/64") {
						t.Errorf("it is %+v; want it up, with its addresses", i)
					}
				}
				if !slices.Contains(names, want) {
					t.Errorf("interfaces are %q, want %s among them", names, want)
				}
				if onHost(goes) {
					t.Errorf("%s is on the host", goes)
				}
			})
		}
	}
}

// A namespace that outlives the container keeps the device.
func TestNetDeviceInJoinedNamespace(t *testing.T) {
	paths := newNetworks(t, "devs")
	_, goes := pairOfDevices(t)
	s := asRoot(t)
	s.runtime.Run(s.bundle(t, lab.Namespace(specs.NetworkNamespace, paths[0]), devices(map[string]string{goes: "eth0"}), lab.Check("pid"))).OK()
	ip(t, "-n", "devs", "link", "show", "eth0")
}

// What cannot be is an error of create, and the host is as it was.
func TestNetDevicesAreRefused(t *testing.T) {
	s := asRoot(t)
	_, goes := pairOfDevices(t)
	before := addressesOf(t, goes)
	for _, c := range []struct {
		name, want string
		edits      []lab.Edit
	}{
		{"missing", "move network device ocnope in: there is no network device", []lab.Edit{devices(map[string]string{"ocnope": ""})}},
		{"one of two is missing", "move network device zzz in: there is no network device", []lab.Edit{devices(map[string]string{goes: "eth0", "zzz": ""})}},
		{"taken", "the container has a network device", []lab.Edit{devices(map[string]string{goes: "lo"})}},
		{"host's network", "linux.netDevices: needs a network namespace", []lab.Edit{devices(map[string]string{goes: "eth0"}), lab.Without(specs.NetworkNamespace)}},
		{"later failure", "executable file not found in $PATH", []lab.Edit{devices(map[string]string{goes: "eth0"}), lab.Args("nope")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.runtime.CreateFails(s.bundle(t, c.edits...), c.want)
			if after := addressesOf(t, goes); after != before {
				t.Errorf("the device was %s\nand is %s", before, after)
			}
		})
	}
}

// A failing hook comes when the device is in the container already, in another process with
// a user namespace.
func TestNetDeviceComesBackAfterHook(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*testing.T) stance
	}{{"root", asRoot}, {"mapped", asRootMapped}} {
		t.Run(c.name, func(t *testing.T) {
			_, goes := pairOfDevices(t)
			ip(t, "link", "set", goes, "up")
			before := addressesOf(t, goes)
			s := c.make(t)
			b := s.bundle(t, devices(map[string]string{goes: "eth0"}), func(c *specs.Spec) {
				c.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/false"}}}
			})
			s.runtime.CreateFails(b, "error running createRuntime hook #0")
			if after := addressesOf(t, goes); after != before {
				t.Errorf("the device was %s\nand is %s", before, after)
			}
		})
	}
}

// addressesOf is what ip says of a device, without its index and what changes by itself.
func addressesOf(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("ip", "-o", "address", "show", "dev", name, "scope", "global").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		_, line, _ = strings.Cut(line, ":")
		line, _, _ = strings.Cut(line, "\\")
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	flags, err := os.ReadFile("/sys/class/net/" + name + "/flags")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\nflags " + string(flags)
}

// Without a resctrl file system there is no share of the cache to be had.
func TestWithoutResctrl(t *testing.T) {
	_, err := os.Stat("/sys/fs/resctrl/schemata")
	need.Feature(t, "no-resctrl", err != nil, "there is a resctrl file system")
	s := asRoot(t)
	s.runtime.CreateFails(s.bundle(t, func(c *specs.Spec) { c.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "gold"} }), "no resctrl file system is mounted")
}
