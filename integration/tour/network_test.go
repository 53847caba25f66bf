package tour

import (
	"os"
	"os/exec"
	"reflect"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func TestOnlyLoopback(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		r := s.runtime.Report(s.bundle(t))
		if len(r.Interfaces) != 1 || r.Interfaces[0].Name != "lo" {
			t.Fatalf("interfaces are %+v, want lo alone", r.Interfaces)
		}
		lo := r.Interfaces[0]
		if !slices.Contains(lo.Flags, "up") || !slices.Contains(lo.Addresses, "127.0.0.1/8") {
			t.Errorf("loopback is %+v; want it up, with 127.0.0.1/8", lo)
		}
	})
}

// A joined namespace is not the runtime's to set up.
func TestLoopbackOfJoinedNamespaceIsLeftAlone(t *testing.T) {
	names := newNetworks(t, "a")
	s := asRoot(t)
	r := s.runtime.Report(s.bundle(t, lab.Namespace(specs.NetworkNamespace, names[0])))
	if len(r.Interfaces) == 0 || slices.Contains(r.Interfaces[0].Flags, "up") {
		t.Errorf("interfaces are %+v; want loopback down, as it was made", r.Interfaces)
	}
}

// Two named namespaces, each with one end of a veth pair whose other end is on a bridge in
// a third: TCP crosses it.
func TestEchoAcrossBridge(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*testing.T) stance
	}{{"root", asRoot}, {"mapped", asRootMapped}} {
		t.Run(c.name, func(t *testing.T) {
			names := newNetworks(t, "switch", "a", "b")
			bridge(t)
			s := c.make(t)
			server := s.runtime.Launch(s.bundle(t, lab.Namespace(specs.NetworkNamespace, names[1]), noSys, lab.Check("listen", "10.99.0.1:7000")))
			server.Says("listening 10.99.0.1:7000")
			client := s.bundle(t, lab.Namespace(specs.NetworkNamespace, names[2]), noSys, lab.Check("dial", "10.99.0.1:7000", "over the bridge", "5"))
			if out := s.runtime.Run(client).OK().Stdout; out != "over the bridge\n" {
				t.Errorf("echo says %q", out)
			}
			if code := server.Wait(); code != 0 {
				t.Errorf("the server ends with %d: %s", code, server.Stderr())
			}
		})
	}
}

func TestTwoContainersUseTheSamePort(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		listen := lab.Check("listen", "127.0.0.1:7001")
		a, b := s.runtime.Launch(s.bundle(t, listen)), s.runtime.Launch(s.bundle(t, listen))
		a.Says("listening 127.0.0.1:7001")
		b.Says("listening 127.0.0.1:7001")
	})
}

// noSys leaves sysfs out: it can be mounted only by the owner of the network namespace.
func noSys(c *specs.Spec) {
	c.Mounts = slices.DeleteFunc(c.Mounts, func(m specs.Mount) bool { return m.Destination == "/sys" })
}

// newNetworks makes named network namespaces, as engines do, and returns their paths. Their
// names live on a file system of the test's own.
func newNetworks(t *testing.T, names ...string) []string {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	mountTmpfs(t, "/run")
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, n := range names {
		ip(t, "netns", "add", n)
		paths = append(paths, "/run/netns/"+n)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", n).Run() })
	}
	return paths
}

func bridge(t *testing.T) {
	t.Helper()
	cmd := exec.Command("ip", "-n", "switch", "link", "add", "br0", "type", "bridge")
	out, err := cmd.CombinedOutput()
	need.Feature(t, "bridge", err == nil, string(out))
	ip(t, "-n", "switch", "link", "set", "br0", "up")
	for name, address := range map[string]string{"a": "10.99.0.1/24", "b": "10.99.0.2/24"} {
		ip(t, "-n", "switch", "link", "add", "to-"+name, "type", "veth", "peer", "name", "eth0", "netns", name)
		ip(t, "-n", "switch", "link", "set", "to-"+name, "master", "br0", "up")
		ip(t, "-n", name, "address", "add", address, "dev", "eth0")
		ip(t, "-n", name, "link", "set", "eth0", "up")
	}
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %q: %v: %s", args, err, out)
	}
}

// The interfaces of the host are what a container without a network namespace has.
func TestWithoutNetworkNamespace(t *testing.T) {
	s := asRoot(t)
	r := s.runtime.Report(s.bundle(t, lab.Without(specs.NetworkNamespace)))
	host := lab.ParseReport(t, lab.Host(t, "report", "interfaces"))
	if !reflect.DeepEqual(r.Interfaces, host.Interfaces) {
		t.Errorf("interfaces are %+v, want the host's, %+v", r.Interfaces, host.Interfaces)
	}
}
